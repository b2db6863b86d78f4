"""Pictures of the command for docs/command.md: docs/img/command-*.svg.

Usage: screenshots.py

Makes a small dataset, runs the command in a terminal of its own, and draws what it shows. The
pictures name no font that has to be fetched.
"""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.text import Text

import dsrecords

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "img"
COMMAND = "import sys; from dsrecords._cli.main import script; sys.exit(script())"
FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
  aria-label="{unique_id}">
<style>
.{unique_id}-matrix {{
  font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; white-space: pre;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
SPACE = "&#160;"
CHARACTER = 12.2  # units, as rich draws it
TEXT = re.compile(
    r'<text (?P<style>class="[^"]*") x="(?P<x>[^"]*)" (?P<y>y="[^"]*") '
    r'textLength="(?P<length>[^"]*)" (?P<clip>clip-path="[^"]*")>(?P<content>[^<]*)</text>'
)
SHAPES = ("circle", "square", "triangle")
SIZES = ((96, 64), (64, 64), (80, 64))
COLORS = {
    "red": (235, 70, 60),
    "green": (80, 200, 90),
    "blue": (90, 150, 255),
    "yellow": (250, 210, 70),
    "white": (240, 240, 240),
}
WORDS = tuple(COLORS)


def picture(shape: str, size: tuple[int, int], color: tuple[int, int, int]) -> bytes:
    """Return a JPEG of a shape before a sky."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(20, 90, width)
    pixels[..., 1] = 40
    pixels[..., 2] = np.linspace(60, 170, height)[:, np.newaxis]
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    top = height // 6
    bottom = height - top
    left = width // 2 - height // 3
    right = width // 2 + height // 3
    if shape == "circle":
        draw.ellipse((left, top, right, bottom), fill=color)
    elif shape == "square":
        draw.rectangle((left, top, right, bottom), fill=color)
    else:
        draw.polygon([(width // 2, top), (left, bottom), (right, bottom)], fill=color)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    return file.getvalue()


def make(folder: Path) -> None:
    """Make a dataset of shapes, and a copy of it that is damaged."""
    dice = np.random.default_rng(3)
    rows = []
    for i in range(2000):
        shape = SHAPES[int(dice.integers(0, 3))]
        score = float(np.clip(dice.normal(0.6, 0.15), 0, 1))
        count = int(dice.integers(1, 6))
        row = {
            "image": picture(shape, SIZES[i % 3], COLORS[WORDS[i % 5]]),
            "label": shape,
            "score": score if i % 11 else None,
            "caption": f"a {WORDS[i % 5]} {shape}" if i % 7 != 3 else None,
            "boxes": dice.integers(0, 64, (count, 4)).astype(np.float32),
        }
        rows.append(row)
    schema = {
        "image": "jpeg",
        "label": "category[circle,square,triangle]",
        "score": "float32?",
        "caption": "str?",
        "boxes": "float32[*,4]",
    }
    metadata = {"source": "drawn for this page", "license": "CC0"}
    for name in ("shapes.rec", "damaged.rec"):
        dsrecords.make_dataset(rows, folder / name, schema, metadata=metadata, id=bytes(range(16)))
    data = bytearray((folder / "damaged.rec").read_bytes())
    data[50_000:50_008] = bytes(8)
    data[400_000:401_000] = bytes(1000)
    (folder / "damaged.rec").write_bytes(data)


def shown(arguments: list[str], folder: Path, columns: int) -> str:
    """Return what a command writes to a terminal with so many columns and 24-bit colours."""
    leader, follower = pty.openpty()
    size = struct.pack("HHHH", 40, columns, 0, 0)
    fcntl.ioctl(follower, termios.TIOCSWINSZ, size)
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "PYTHONPATH": str(ROOT / "src"),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=folder,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment,
    )
    os.close(follower)
    written = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the terminal has no writer any more
            break
        if not part:
            break
        written += part
    os.close(leader)
    process.wait()
    return written.decode().replace("\r\n", "\n")


def without_outer_spaces(match: re.Match[str]) -> str:
    """Return an element of text that begins where its first character is not a space.

    Some programs leave out spaces at the start, and stretch the rest to the length that is stated.
    """
    content = match["content"]
    without_start = re.sub(f"^({SPACE})+", "", content)
    without_end = re.sub(f"({SPACE})+$", "", without_start)
    skipped = (len(content) - len(without_start)) // len(SPACE)
    left_out = (len(content) - len(without_end)) // len(SPACE)
    x = float(match["x"]) + skipped * CHARACTER
    length = float(match["length"]) - left_out * CHARACTER
    place = f'x="{x:g}" {match["y"]} textLength="{length:g}"'
    return f"<text {match['style']} {place} {match['clip']}>{without_end}</text>"


def draw(name: str, typed: str, written: str, columns: int) -> None:
    """Draw what a terminal shows: docs/img/command-NAME.svg."""
    screen = Console(
        record=True,
        width=columns,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    screen.print(Text(f"$ dsrecords {typed}", style="bold green"))
    screen.print(Text.from_ansi(written.rstrip("\n")))
    svg = screen.export_svg(
        title="dsrecords",
        code_format=FORMAT,
        unique_id=f"command-{name}",
    )
    lines = [line.rstrip() for line in svg.splitlines() if line.strip()]
    text = "\n".join(lines) + "\n"
    text = TEXT.sub(without_outer_spaces, text)
    (FOLDER / f"command-{name}.svg").write_text(text, encoding="utf-8")


PICTURES = {
    "help": (["--help"], 80),
    "info": (["info", "shapes.rec"], 100),
    "head": (["head", "shapes.rec", "-n", "3"], 100),
    "stats": (["stats", "shapes.rec"], 140),
    "histogram": (["stats", "shapes.rec", "-f", "score"], 80),
    "check": (["check", "--decode", "damaged.rec"], 110),
    "select": (["select", "shapes.rec", "label == 'circle' and score > 0.95"], 100),
}


def main() -> None:
    """Draw all pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        for picture_name, (arguments, columns) in PICTURES.items():
            typed = " ".join(f'"{word}"' if " " in word else word for word in arguments)
            written = shown(arguments, folder, columns)
            without_folder = written.replace(f"{name}/", "")
            draw(picture_name, typed, without_folder, columns)


if __name__ == "__main__":
    main()
