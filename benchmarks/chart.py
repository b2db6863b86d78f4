"""The picture of the results: bars, one panel a question, written as SVG text so that nothing needs to be installed."""

from html import escape
from typing import Any

from goals import LIMIT, OURS, medians
from report import number

# What a reader of the README most wants to know.
PANELS = (
    ("small/get", "Three numbers: one random record, dicts"),
    ("strings/get", "A string and a label: one random record, dicts"),
    ("small/batch", "Three numbers: random batches of 256"),
    ("texts/take", "Texts, 1.5 KB: 20 to 50 random records"),
    ("images/batch", "Images, 110 KB: random batches, owned bytes"),
    ("images/column", "Images: the column of labels"),
    ("arrays/batch", "Arrays, 48 KB: random batches, stacked"),
    ("tokens/batch", "Tokens, 8 KB: random batches, stacked"),
    ("blobs/cold", "Cold disk, 4 KB records: random batches"),
    ("images/cold", "Cold disk, 110 KB images: random batches"),
    ("small/append", "One call a record, visible on return"),
    ("small/columns", "Three numbers written until on disk"),
    ("images/write", "Images written until on disk"),
    ("tokens/write", "Tokens written until on disk"),
)
WIDTH, MARGIN, GAP = 960, 24, 32
ROW, TITLE = 17, 44
LABEL, VALUE = 148, 62
OURS_COLOUR, PEER_COLOUR, INK, PALE = "#c2410c", "#94a3b8", "#1e293b", "#64748b"


def draw(results: dict[str, Any]) -> str:
    """The SVG's text."""
    panels = []
    for key, title in PANELS:
        found = medians(results, key)
        if len(found) > 1:
            panels.append((title, found))
    pairs = [panels[k : k + 2] for k in range(0, len(panels), 2)]
    heights = [TITLE + ROW * max(len(_bars(found)) for _, found in pair) + 14 for pair in pairs]
    head = 74
    height = head + sum(heights) + MARGIN
    column = (WIDTH - 2 * MARGIN - GAP) / 2
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"',
        ' font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(MARGIN, 34, "Records a second: longer is better", 19, INK, weight="600"),
        _text(MARGIN, 56, _caption(results), 12, PALE),
    ]
    top = head
    for pair, tall in zip(pairs, heights, strict=True):
        for k, (title, found) in enumerate(pair):
            lines += _panel(results, title, found, MARGIN + k * (column + GAP), top, column)
        top += tall
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _caption(results: dict[str, Any]) -> str:
    machine = results["machine"]
    kind = (
        "QUICK RUN, not to be quoted"
        if results["quick"]
        else "median of interleaved rounds, fresh processes"
    )
    place = f"{machine.get('processor', '?')}, {machine['cores']} cores"
    return f"{results['date'][:10]}; {place}; {kind}; checks of DSRecords on"


def _bars(found: dict[str, float]) -> list[str]:
    """The peers of a panel, fastest first, without the limit; our other variants would only repeat ours."""
    names = [
        name for name in found if name != LIMIT and (name == OURS or not name.startswith("ours"))
    ]
    return sorted(names, key=found.get, reverse=True)


def _panel(
    results: dict[str, Any], title: str, found: dict[str, float], x: float, y: float, width: float
) -> list[str]:
    lines = [_text(x, y + 14, title, 13, INK, weight="600")]
    if LIMIT in found:
        limit = "32 threads of pread" if title.startswith("Cold") else "physical limit"
        lines.append(_text(x, y + 30, f"{limit}: {number(found[LIMIT])}", 11, PALE))
    names = _bars(found)
    longest = found[names[0]]
    room = width - LABEL - VALUE
    for k, name in enumerate(names):
        top = y + TITLE - 6 + k * ROW
        ours = name == OURS
        size = max(1.0, room * found[name] / longest)
        title = results["peers"][name]["title"]
        weight = "600" if ours else "400"
        lines.append(_text(x + LABEL - 6, top + 10, title, 11, INK, anchor="end", weight=weight))
        colour = OURS_COLOUR if ours else PEER_COLOUR
        box = f'x="{x + LABEL:.1f}" y="{top}" width="{size:.1f}" height="{ROW - 5}"'
        lines.append(f'<rect {box} rx="2" fill="{colour}"/>')
        lines.append(
            _text(x + LABEL + size + 5, top + 10, number(found[name]), 11, INK, weight=weight)
        )
    return lines


def _text(
    x: float,
    y: float,
    text: str,
    size: int,
    colour: str,
    *,
    anchor: str = "start",
    weight: str = "400",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(text)}</text>"
    )
