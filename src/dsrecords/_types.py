"""The names of types: what `"float32[*,4]"` or `"list[str?]?"` in a schema means."""

from __future__ import annotations

import re
from typing import Any

from ._arrays import AnyArray, ShapedArray
from ._images import Image
from ._values import SCALARS, Bytes, Custom, Json, List, Scalar, Str, Type
from .errors import SchemaError

_LONGEST = 1000  # characters of a name: the header of a file must not send the parser 100,000 brackets deep
_SIMPLE: dict[str, Any] = {"bytes": Bytes, "str": Str, "json": Json, "array": AnyArray}
_IMAGES = ("jpeg", "png", "webp", "image")
_SHAPE = re.compile(r"(\w+)\[\s*((?:\d{1,18}|\*)\s*(?:,\s*(?:\d{1,18}|\*)\s*)*)\]")
_PYTHON = {"int": "int32 or int64", "float": "float32 or float64", "string": "str", "jpg": "jpeg", "double": "float64"}


def parse(name: Any) -> Type:
    """The type with this name. Raises SchemaError for a name that is none."""
    if not isinstance(name, str):
        hint = f"; say which: '{_PYTHON[name.__name__]}'" if name in (int, float) else ""
        raise SchemaError(f"a type is a text such as 'int64' or 'str', not {name!r}{hint}")
    if len(name) > _LONGEST:
        raise SchemaError(f"a type with a name of {len(name)} characters")
    text = name.strip()
    if text.endswith("?"):
        kind = parse(text[:-1])
        if kind.nullable:
            raise SchemaError(f"{name!r}: one ? is enough")
        kind.nullable, kind.name = True, kind.name + "?"
        return kind
    if text in SCALARS:
        return Scalar(text, SCALARS[text])
    if text in _SIMPLE:
        return _SIMPLE[text]()  # type: ignore[no-any-return]
    if text in _IMAGES:
        return Image(text)
    if text.startswith("list[") and text.endswith("]"):
        return List(parse(text[5:-1]))
    if text.startswith("custom(") and text.endswith(")"):
        return Custom(text[7:-1])
    if (match := _SHAPE.fullmatch(text)) and match[1] in SCALARS:
        shape = tuple(None if n.strip() == "*" else int(n) for n in match[2].split(","))
        return ShapedArray(Scalar(match[1], SCALARS[match[1]]), shape)
    hint = f"; say {_PYTHON[text]}" if text in _PYTHON else ""
    raise SchemaError(
        f"{name!r} is not a type{hint}. Types are {', '.join(SCALARS)}, {', '.join(_SIMPLE)}, {', '.join(_IMAGES)}, "
        "shapes such as 'float32[3,224,224]' and 'float32[*,4]', 'list[T]', and 'T?' for what may be None"
    )
