"""The structure of the package: its floors, a table of modules, a picture of what imports what.

Usage: architecture.py            write the table in docs/design.md and docs/img/imports.svg
       architecture.py --check    exit with 1 if either is out of date, or an import points up

A package may import packages on lower floors only. The table's sentences are the first lines of the
modules' docstrings, so they stand in one place.
"""

import ast
import functools
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "dsrecords"
PAGE = ROOT / "docs" / "design.md"
PICTURE = ROOT / "docs" / "img" / "imports.svg"
BEGIN = "<!-- modules: written by tools/architecture.py -->\n"
END = "<!-- end of modules -->\n"

# From the ground up. What stands on one floor is imported only by what is above it.
FLOORS = (
    "errors",
    "_optional",
    "_interrupts",
    "_warning",
    "_native",
    "_order",
    "_storage",
    "_format",
    "_types",
    "_arrow",
    "_schema",
    "io",
    "_vision",
    "vision",
    "_read",
    "_shards",
    "_write",
    "_v04",
    "_mds",
    "_tools",
    "_dataset",
    "_export",
    "viewer",
    "dataset",
    "torch",
    "grain",
    "ray",
    "_loader",
    "_diff",
    "_stats",
    "_convert",
    "__init__",
    "_cli",
    "__main__",
)


PYTHONS_OWN = (
    "_asdict",
    "_fields",
    "_getframe",
    "_replace",
)  # documented, in spite of the underscore


class Import(NamedTuple):
    """A module that another one imports, by its dotted name below `dsrecords`."""

    importer: str
    imported: str


@functools.cache
def modules() -> dict[str, ast.Module]:
    """The modules of the package by their dotted names, parsed; a package has its folder's name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts)
        if len(parts) > 1:
            name = name.removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


@functools.cache
def imports() -> list[Import]:
    """Every import of one module of the package by another, within functions as well."""
    parsed = modules()
    found = []
    for importer, tree in parsed.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                found += [Import(importer, imported) for imported in _imported(node, parsed)]
    return found


def _imported(node: ast.ImportFrom, parsed: dict[str, ast.Module]) -> list[str]:
    source = node.module or ""
    if node.level:
        source = f"dsrecords.{source}".rstrip(".")
    if source.split(".")[0] != "dsrecords":
        return []
    source = source.removeprefix("dsrecords").removeprefix(".")
    names = [f"{source}.{alias.name}".lstrip(".") for alias in node.names]
    return [name if name in parsed else source or "__init__" for name in names]


def floor(module: str) -> int:
    """The floor on which a module stands, 0 at the bottom."""
    return FLOORS.index(module.split(".")[0])


def upward_imports() -> list[str]:
    """The imports that point up, in words."""
    return [
        f"{importer} imports {imported}, which stands above it"
        for importer, imported in imports()
        if floor(imported) > floor(importer)
    ]


def circles() -> list[str]:
    """The modules that import themselves by way of others, in words."""
    graph: dict[str, set[str]] = {}
    for importer, imported in imports():
        if imported != importer:
            graph.setdefault(importer, set()).add(imported)
    found = []
    for start in sorted(graph):
        reached: set[str] = set()
        waiting = list(graph[start])
        while waiting:
            module = waiting.pop()
            if module not in reached:
                reached.add(module)
                waiting.extend(graph.get(module, ()))
        if start in reached:
            found.append(f"{start} imports itself by way of others")
    return found


def private_reaches() -> list[str]:
    """Private attributes that a module reaches for, and does not define itself, in words."""
    found = []
    for name, tree in modules().items():
        defined = _defined_names(tree)
        for node in ast.walk(tree):
            if _is_foreign(node, defined):
                reach = f"{name}, line {node.lineno}, reaches for {ast.unparse(node)}"
                found.append(reach)
    return found


def _defined_names(tree: ast.Module) -> set[str]:
    """Names of functions and classes, and of what is assigned, at any depth."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _is_foreign(node: ast.AST, defined: set[str]) -> bool:
    if not isinstance(node, ast.Attribute):
        return False
    if not node.attr.startswith("_") or node.attr.startswith("__"):
        return False
    return node.attr not in defined and node.attr not in PYTHONS_OWN


def table() -> str:
    """The table of modules for docs/design.md."""
    lines = ["| module | what it is for |", "| --- | --- |"]
    for name, tree in sorted(modules().items(), key=lambda item: (floor(item[0]), item[0])):
        docstring = ast.get_docstring(tree) or ""
        sentence = docstring.split("\n\n")[0].replace("\n", " ")
        is_folder = name.startswith("_") and "." not in name and (PACKAGE / name).is_dir()
        shown = f"**`{name}/`**" if is_folder else f"`{name}`"
        lines.append(f"| {shown} | {sentence} |")
    return "\n".join(lines) + "\n"


def page_with_table() -> str:
    """The text of docs/design.md with the table as it must be."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + table() + "\n" + END + after


WIDTH = 760
ROW = 54
BOX = 150
LEFT = 40
STYLE = (
    'font-family="sans-serif" font-size="14" role="img" '
    'aria-label="Which package imports which: every arrow points down"'
)


def picture() -> str:
    """An SVG of the floors, the lowest at the bottom, with an arrow for each import."""
    pairs = set()
    for importer, imported in imports():
        pair = (importer.split(".")[0], imported.split(".")[0])
        if pair[0] != pair[1]:
            pairs.add(pair)
    height = ROW * len(FLOORS) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {STYLE}>',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for importer, imported in sorted(pairs, key=lambda pair: (floor(pair[0]), floor(pair[1]))):
        parts.append(_arrow(floor(importer), floor(imported)))
    for level, name in enumerate(FLOORS):
        parts.append(_box(level, name))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _top(level: int) -> int:
    return 10 + ROW * (len(FLOORS) - 1 - level)


def _box(level: int, name: str) -> str:
    top = _top(level)
    color = "#eef3fb" if name.startswith("_") else "#dbeedd"
    box = f'x="{LEFT}" y="{top}" width="{BOX}" height="34" rx="5"'
    middle = f'x="{LEFT + BOX // 2}" y="{top + 22}" text-anchor="middle"'
    return f'<rect {box} fill="{color}" stroke="#456"/><text {middle}>{name}</text>'


def _arrow(start: int, stop: int) -> str:
    """An arc at the right of the boxes; the longer it reaches down, the farther it bends out."""
    edge = LEFT + BOX
    start_y = _top(start) + 24
    stop_y = _top(stop) + 8 + (start - stop) % 5 * 4
    bend = edge + 24 + 42 * (start - stop)
    hue = start * 47 % 360
    color = f"hsl({hue},55%,42%)"
    curve = f"M{edge},{start_y} C{bend},{start_y} {bend},{stop_y} {edge + 6},{stop_y}"
    line = f'<path d="{curve}" fill="none" stroke="{color}" stroke-width="1.3"/>'
    return f'{line}<path d="M{edge},{stop_y} l7,-4 v8 z" fill="{color}"/>'


def problems() -> list[str]:
    """What is out of date or points the wrong way, in words."""
    found = upward_imports() + circles() + private_reaches()
    if PAGE.read_text(encoding="utf-8") != page_with_table():
        found.append("docs/design.md: the table of modules is out of date")
    if not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != picture():
        found.append("docs/img/imports.svg is out of date")
    return found


def main() -> None:
    """Write the table and the picture, or check them."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page_with_table(), encoding="utf-8")
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(picture(), encoding="utf-8")
    found = problems()
    if found:
        sys.exit(
            "\n".join([*found, "(python tools/architecture.py rewrites the table and picture)"])
        )


if __name__ == "__main__":
    main()
