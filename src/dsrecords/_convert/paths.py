"""Names of files that a source states: nothing outside its folder is read or written."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from dsrecords._schema.notation import is_type_name, nullable

_MOST_CATEGORIES = 65_536
_LONGEST = 200  # characters of a part of a path


def below(folder: str, name: Any) -> str:
    """Return the path of a file in a folder. Raises ValueError if the name leads out of it."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"{name!r} is not the name of a file")
    if "\0" in name or os.path.isabs(name) or ".." in name.replace("\\", "/").split("/"):
        raise ValueError(f"{name!r} leads out of the folder")
    return os.path.join(
        folder,
        name,
    )


def safe_name(name: str) -> str:
    """Return a name as the path of a file that can be made, below the folder that it is for."""
    parts = []
    for part in name.replace("\\", "/").split("/"):
        part = part.replace(
            "\0",
            "",
        )
        if part not in ("", ".", ".."):
            parts.append(part[-_LONGEST:])
    return "/".join(parts) or "_"


def category_or_str(names: Sequence[str | None]) -> str:
    """Return the category of names, in their order; `str` if they are too many, or can be none."""
    distinct = sorted({name for name in names if name is not None})
    kind = f"category{json.dumps(distinct)}"
    if len(distinct) > _MOST_CATEGORIES or not is_type_name(kind):
        kind = "str"
    if None in names:
        return nullable(kind)
    return kind
