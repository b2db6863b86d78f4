"""Build the page of the viewer, one file, from js/: tools/viewer_page.py [--check].

Each module becomes a function that runs once, in the order of imports. So the page needs no server,
works from disk, and its policy allows this one script by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
import zlib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "js" / "viewer"
PAGE = ROOT / "src" / "dsrecords" / "viewer" / "viewer.html"

_IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (async function\*?|function\*?|class|const|let) (\w+)", re.MULTILINE)
# Comments that have lines of their own, which js/ keeps: a fifteenth of the page.
_COMMENT = re.compile(r"^ *(/\*\*.*?\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
# Those behind code: no string ends behind them.
_BEHIND = re.compile(r"(?<=[;{},(\[]) // [^\n\"'`]*$", re.MULTILINE)
_INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)
_LEFT = re.compile(r"^\s*(import|export)\b.*$", re.MULTILINE)


class Modules:
    """The modules of a page, each behind those that it imports.

    Attributes:
        texts: of the modules, as functions that run at once.
    """

    def __init__(self, first: Path) -> None:
        self.texts: list[str] = []
        self._names: dict[Path, str] = {}
        self._add(first.resolve())

    def _add(self, path: Path) -> str:
        if path in self._names:
            return self._names[path]
        text = path.read_text(encoding="utf-8")
        imports = []
        for names, source in _IMPORT.findall(text):
            module = self._add((path.parent / source).resolve())
            chosen = names.replace(" as ", ": ")
            imports.append(f"const {{{chosen}}} = {module};\n")
        body = _COMMENT.sub("", _IMPORT.sub("", text))
        body = without_indentation(_BEHIND.sub("", body), path)
        exported = [name for _, name in _EXPORT.findall(body)]
        body = _EXPORT.sub(r"\1 \2", body)
        left = _LEFT.search(body)
        if left is not None:
            raise SystemExit(f"{path}: not understood: {left[0].strip()}")
        name = f"of_{path.stem}_{len(self.texts)}"
        self._names[path] = name
        parts = ["".join(imports), body, f"return {{ {', '.join(exported)} }};\n"]
        self.texts.append(f"const {name} = (() => {{\n{''.join(parts)}}})();\n")
        return name


def without_indentation(text: str, path: Path) -> str:
    """Return a text as a page needs it, in which no string goes over several lines."""
    for line in text.splitlines():
        if line.count("`") % 2 == 1:
            raise SystemExit(f"{path}: a string of several lines, or a lone `: {line.strip()}")
    return _INDENTATION.sub("", text)


def digest(text: str) -> str:
    """Return what a Content-Security-Policy calls a script or a style."""
    found = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(found).decode()}'"


def deflated(data: bytes) -> bytes:
    """Compress as `DecompressionStream("deflate-raw")` reads it: a third of the module remains."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def build() -> str:
    """Return the page."""
    script = "".join(Modules(SOURCES / "app.js").texts)
    if "</script" in script.lower() or "<!--" in script:
        raise SystemExit("the script would end the element that it is in")
    style_path = SOURCES / "style.css"
    style = without_indentation(style_path.read_text(encoding="utf-8"), style_path)
    zstd = (ROOT / "js" / "vendor" / "zstd.wasm").read_bytes()
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {digest(script)} 'wasm-unsafe-eval'",
            f"style-src {digest(style)}",
            "img-src blob:",
            "media-src blob:",
            "connect-src 'self' http: https:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    page_path = SOURCES / "page.html"
    page = without_indentation(page_path.read_text(encoding="utf-8"), page_path)
    pieces = {
        "POLICY": policy,
        "STYLE": style,
        "ZSTD": base64.b64encode(deflated(zstd)).decode(),
        "SCRIPT": script,
    }
    return re.sub(r"@([A-Z]+)@", lambda found: pieces[found[1]], page)


def main() -> None:
    """Write the page, or check that it is the one that is there."""
    page = build()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page:
        raise SystemExit(f"{PAGE} is not made of js/: run tools/viewer_page.py")


if __name__ == "__main__":
    main()
