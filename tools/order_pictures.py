"""Draw the pictures of docs/order.md: `python tools/order_pictures.py` writes docs/img/order-*.svg.

The numbers in them are those that the library gives.
"""

import html
from pathlib import Path

from dsrecords import Permutation

FOLDER = Path(__file__).parents[1] / "docs" / "img"
WIDTH = 760
INK = "#24292f"
GREY = "#57606a"
COLOURS = ("#cfe4fb", "#d5efd3", "#fbe3c8", "#e8d8f5")
COUNT = 12
SEED = 3


def text(x, y, words, size=12, anchor="middle", colour=INK, weight="normal"):
    """Words at a point."""
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="{colour}" '
        f'font-weight="{weight}">{html.escape(str(words))}</text>'
    )


def box(x, y, width, height, colour):
    """A filled rectangle."""
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour}" stroke="{GREY}"/>'
    )


def line(x1, y1, x2, y2, colour=GREY, arrow=True):
    """A line, by default with a tip."""
    tip = ' marker-end="url(#tip)"' if arrow else ""
    return f'<path d="M{x1},{y1} L{x2},{y2}" fill="none" stroke="{colour}"{tip}/>'


def picture(name, height, label, parts):
    """Write a picture of these parts."""
    marker = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{GREY}"/></marker></defs>'
    )
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" '
        f'role="img" aria-label="{html.escape(label)}">'
    )
    ground = f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fff"/>'
    body = "\n".join([start, ground, marker, *parts, "</svg>"])
    Path(FOLDER, name).write_text(body + "\n", encoding="utf-8")


def row_of_boxes(y, values, colour_of):
    """Values side by side, each in a box."""
    return [
        part
        for i, value in enumerate(values)
        for part in (
            box(140 + 48 * i, y, 48, 32, colour_of(value)),
            text(164 + 48 * i, y + 21, value),
        )
    ]


def selection():
    """Three views, each of the one before, above the records."""
    order = Permutation(COUNT, SEED)
    half = order[:6]
    again = [half[i] for i in Permutation(6, SEED)]

    def colour(value):
        return COLOURS[value * len(COLOURS) // COUNT]

    parts = [
        text(
            20,
            30,
            "Views of views: positions of records, computed when they are asked for",
            14,
            "start",
            weight="bold",
        )
    ]
    rows = [
        ("ds", range(COUNT)),
        (f"ds.shuffle({SEED})", order),
        (f"ds.shuffle({SEED})[:6]", half),
        (f"and .shuffle({SEED})", again),
    ]
    for i, (name, values) in enumerate(rows):
        y = 56 + 62 * i
        parts.append(text(130, y + 21, name, anchor="end"))
        parts += row_of_boxes(y, values, colour)
        if i in (1, 2):
            parts.append(
                text(
                    140, y + 46, "Permutation: two numbers and a slice, no list", 11, "start", GREY
                )
            )
    parts.append(
        text(
            140,
            288,
            "two permutations, one after the other: still a few numbers",
            11,
            "start",
            GREY,
        )
    )
    picture(
        "order-views.svg",
        306,
        "A dataset, a shuffle of it, a slice of that and a shuffle of the slice",
        parts,
    )


def network():
    """One value: the rectangle, and rounds that mix its two halves."""
    parts = [
        text(
            20,
            30,
            "From a position to a value: no table, the same few steps for any n",
            14,
            "start",
            weight="bold",
        )
    ]
    parts += [
        box(40, 70, 120, 40, COLOURS[0]),
        text(100, 95, "position"),
        line(160, 90, 206, 70),
        line(160, 90, 206, 132),
    ]
    parts += [
        box(210, 50, 90, 36, COLOURS[1]),
        text(255, 73, "high half"),
        box(210, 116, 90, 36, COLOURS[2]),
        text(255, 139, "low half"),
    ]
    x = 300
    for _ in range(2):
        parts += [
            line(x, 68, x + 200, 68, arrow=False),
            line(x, 134, x + 200, 134, arrow=False),
            line(x + 55, 134, x + 55, 76),
            line(x + 145, 68, x + 145, 126),
            box(x + 30, 90, 50, 24, "#fff"),
            text(x + 55, 106, "mix, key", 10),
            box(x + 120, 90, 50, 24, "#fff"),
            text(x + 145, 106, "mix, key", 10),
            text(x + 55, 58, "+ mod columns", 11, colour=GREY),
            text(x + 145, 152, "xor", 11, colour=GREY),
        ]
        x += 170
    parts += [line(x, 68, 706, 88), line(x, 134, 706, 96), text(728, 96, "value")]
    parts += [text(740, 40, "… 12 rounds, 24 for n up to 65,536", 11, "end", GREY)]
    again = (
        '<path d="M728,104 C728,230 100,230 100,116" fill="none" stroke="#57606a" '
        'stroke-dasharray="4 3" marker-end="url(#tip)"/>'
    )
    parts += [
        again,
        text(
            414,
            216,
            "is it n or more? once again (seldom: the rectangle has less than one column too many)",
            11,
            colour=GREY,
        ),
    ]
    picture(
        "order-network.svg",
        236,
        "A Feistel network: a position is split into two halves, which are mixed in turn",
        parts,
    )


if __name__ == "__main__":
    selection()
    network()
