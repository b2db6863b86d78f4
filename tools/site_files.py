"""A hook of mkdocs: files of the project that pages link to, such as examples, are on the site too.

On the site they are texts below `files/`, which browsers show; in a checkout the links of the pages
lead to the files themselves.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\]\(\.\./([^)#\s]+)(?:#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add what pages link to outside of `docs/`."""
    for path in sorted(_linked(Path(config.docs_dir))):
        content = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, _place_of(path), content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let the links of a page lead there."""
    return _LINK.sub(lambda link: f"]({_place_of(link[1])})", markdown)


def _linked(pages: Path) -> set[str]:
    """Return the paths of the files, from the root of the project."""
    found = set()
    for page in pages.glob("*.md"):
        found.update(_LINK.findall(page.read_text(encoding="utf-8")))
    return found


def _place_of(path: str) -> str:
    return f"files/{path}.txt"
