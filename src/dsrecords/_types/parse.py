"""The names of types: what `"float32[*,4]"` or `"list[{box: float32[4], label: int32}]?"` in a schema means."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from dsrecords._types.arrays import AnyArray, ShapedArray
from dsrecords._types.audio import Audio
from dsrecords._types.base import Bytes, Custom, Json, Str, Type
from dsrecords._types.compressed import Zstd
from dsrecords._types.images import Image
from dsrecords._types.messages import MsgPack, Protobuf
from dsrecords._types.registered import Registered, registry
from dsrecords._types.scalars import SCALARS, BFloat16, Category, Scalar, Time, quote
from dsrecords._types.structs import Struct
from dsrecords._types.tables import list_of
from dsrecords.errors import SchemaError

_LONGEST = 2**20  # characters of a name, most of which are those of categories
_DEEPEST = 32  # types within types: the header of a file must not send the parser 100,000 brackets deep
_SIMPLE: dict[str, Any] = {
    "bytes": Bytes, "str": Str, "json": Json, "array": AnyArray, "bfloat16": BFloat16, "msgpack": MsgPack, "audio": Audio,
}  # fmt: skip
_IMAGES = ("jpeg", "png", "webp", "image")
_UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")
_SHAPE = re.compile(r"(.+)\[\s*((?:\d{1,18}|\*)\s*(?:,\s*(?:\d{1,18}|\*)\s*)*)\]", re.DOTALL | re.ASCII)
_WITHIN = re.compile(r"(\w+)\s*([\[(])(.*)([\])])", re.DOTALL)
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[({]|[\])}]|[,:]|[^"\[\](){},:]+', re.DOTALL)
_BARE = re.compile(r"[\w.+ -]+")
_MEANT = {  # what others call them
    "int": "int32 or int64", "float": "float32 or float64", "double": "float64", "long": "int64", "string": "str", "jpg": "jpeg",
    "pil": "image", "ndarray": "array", "tensor": "array", "dict": "json", "list": "list[T], such as list[int64]",
    "datetime": "datetime64[us]", "timedelta": "timedelta64[us]",
}  # fmt: skip
_KNOWN = (
    f"{', '.join(SCALARS)}, {', '.join(_SIMPLE)}, {', '.join(_IMAGES)}, 'datetime64[s]', 'timedelta64[ms]', 'category[cat,dog]', "
    "shapes such as 'float32[3,224,224]' and 'float32[*,4]', 'list[T]', '{name: T, other: T}', 'zstd(T)', "
    "'protobuf[package.Message]', what dsrecords.register_type was given, and 'T?' for what may be None"
)


def parse(name: Any, depth: int = 0) -> Type:
    """The type with this name. Raises SchemaError for a name that is none."""
    if not isinstance(name, str):
        word = str(getattr(name, "__name__", name))  # of a class such as int or np.float32; of a dtype
        raise SchemaError(f"a type is a text such as 'int64' or 'str', not {name!r}{_hint(word)}")
    if depth > _DEEPEST or len(name) > _LONGEST:
        raise SchemaError(f"a type has at most {_LONGEST} characters and {_DEEPEST} types within each other: {_short(name)}")
    text = name.strip()
    if text.endswith("?"):
        if text[:-1].rstrip().endswith("?"):
            raise SchemaError(f"{_short(name)}: one ? is enough")
        kind = parse(text[:-1], depth)
        kind.nullable, kind.name = True, kind.name + "?"
        return kind
    if text in SCALARS:
        return Scalar(text, SCALARS[text])
    if text in _SIMPLE:
        return _SIMPLE[text]()  # type: ignore[no-any-return]
    if text in registry:
        return Registered(text)
    if text in _IMAGES:
        return Image(text)
    if text.startswith("{") and text.endswith("}"):
        return Struct(_parts(text[1:-1], depth))
    if (match := _SHAPE.fullmatch(text)) and not match[1].startswith(("category", "list")):
        scalar = parse(match[1], depth + 1)
        if isinstance(scalar, Scalar) and not scalar.nullable:
            shape = tuple(None if n.strip() == "*" else int(n) for n in match[2].split(","))
            return ShapedArray(scalar, shape)
    if (match := _WITHIN.fullmatch(text)) and (make := _MADE.get(match[1] + match[2] + match[4])):
        return make(match[3], depth)
    raise SchemaError(f"{_short(name)} is not a type{_hint(text) or f'. Types are {_KNOWN}'}")


def _hint(word: str) -> str:
    """What somebody meant who wrote this for a type; empty if that is not clear."""
    import difflib  # here, as few need it

    word = word.lower()[:50]
    near = difflib.get_close_matches(word, (*SCALARS, *_SIMPLE, *_IMAGES), 1, 0.81) if word.isidentifier() else []
    return f"; say {_MEANT.get(word) or near[0]}" if word in _MEANT or near else ""


def _short(name: str) -> str:
    return repr(name) if len(name) < 200 else f"{name[:200]!r}…"


def split(text: str, at: str = ",") -> list[str]:
    """The parts of a text between commas (or colons) that stand outside of brackets and quotes. Raises SchemaError."""
    parts, start, position, depth = [], 0, 0, 0
    while position < len(text):
        piece = _PIECE.match(text, position)
        depth += 0 if piece is None else (piece[0] in "[({") - (piece[0] in "])}")
        if piece is None or depth < 0:
            raise SchemaError(f"{_short(text)}: a bracket or a quote too many")
        if piece[0] == at and not depth:
            parts.append(text[start:position])
            start = piece.end()
        position = piece.end()
    if depth:
        raise SchemaError(f"{_short(text)}: a bracket is not closed")
    return [part.strip() for part in (*parts, text[start:])]


def _label(text: str) -> str:
    """A name in a struct or a category: plain, or as JSON writes a text."""
    if text.startswith('"'):
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, str) and found:
            return found
    elif _BARE.fullmatch(text):
        return text
    raise SchemaError(f"{_short(text)} is not a name; put it in quotes, as JSON does")


def _parts(text: str, depth: int) -> dict[str, Type]:
    pairs = [split(part, ":") for part in split(text)]
    if any(len(pair) != 2 for pair in pairs):
        raise SchemaError(f"a struct is written as {{name: type, other: type}}, not {{{_short(text)[1:-1]}}}")
    parts = {_label(key): parse(kind, depth + 1) for key, kind in pairs}
    if len(parts) < len(pairs):
        raise SchemaError("two parts of a struct have one name")
    return parts


def _time(kind: str) -> Callable[[str, int], Type]:
    def make(unit: str, depth: int) -> Type:
        if unit not in _UNITS:
            raise SchemaError(f"{kind} has one of the units {', '.join(_UNITS)}, not {_short(unit)}")
        return Time(f"{kind}[{unit}]", unit)

    return make


def _zstd(text: str, depth: int) -> Type:
    inner, *options = split(text)
    pairs = [[side.strip() for side in option.split("=")] for option in options]
    given = {
        pair[0]: pair[-1]
        for pair in pairs
        if len(pair) == 2 and pair[0] in ("level", "dict") and re.fullmatch(r"\d{1,9}", pair[1])
    }
    if len(given) < len(options):
        raise SchemaError(
            f"zstd is written as zstd(T), zstd(T, level=9) or zstd(T, level=9, dict=0), not zstd({_short(text)[1:-1]})"
        )
    numbers = {{"level": "level", "dict": "size"}[key]: int(value) for key, value in given.items()}
    if depth and "dict" in given:
        raise SchemaError("a dictionary is of a whole field: zstd(list[T], dict=…), not list[zstd(T, dict=…)]")
    return Zstd(parse(inner, depth + 1), **numbers, nested=depth > 0)


_MADE: dict[str, Callable[[str, int], Type]] = {
    "list[]": lambda text, depth: list_of(parse(text, depth + 1)),
    "custom()": lambda text, depth: Custom(text),
    "category[]": lambda text, depth: Category([_label(name) for name in split(text)] if text.strip() else []),
    "protobuf[]": lambda text, depth: Protobuf(text.strip()),
    "ext()": lambda text, depth: Registered(text.strip()),
    "zstd()": _zstd,
    "datetime64[]": _time("datetime64"),
    "timedelta64[]": _time("timedelta64"),
}


def register_type(name: str, dump: Callable[[Any], bytes], load: Callable[[bytes], Any]) -> None:
    """Make `name` a type, in this process: schemas can say it from now on, and files that say it are read by `load`.

    Call it where a module begins, so that spawned workers call it too. A file has the type as `ext(name)` and only the bytes;
    readers that do not know it get those, and a warning.

    Args:
        name: letters, digits, `_` and dots, such as `"mylab.point"`.
        dump: from a value to bytes.
        load: from those bytes to the value.

    Raises:
        ValueError: the name is taken, by a type of the library or by functions of another name, or cannot be one.
    """
    if list(map(_origin, registry.get(name, (dump, load)))) != [_origin(dump), _origin(load)]:
        raise ValueError(f"the type {name} is registered with other functions")
    if name not in registry:
        try:
            parse(name)
        except SchemaError:
            Registered(name)
        else:
            raise ValueError(f"{name} is a type already")
    registry[name] = dump, load


def _origin(function: Any) -> Any:
    """What stays the same of a function whose definition is run again, as in a notebook."""
    return getattr(function, "__module__", None), getattr(function, "__qualname__", function)


def type_text(entry: Any) -> str:
    """The name of the type that a nested entry of a schema stands for: a text, a dict of a struct's parts, a list of one item."""
    if isinstance(entry, Mapping):
        return "{" + ",".join(f"{quote(key)}:{type_text(part)}" for key, part in entry.items()) + "}"
    if isinstance(entry, list):
        if len(entry) != 1:
            raise SchemaError(f"a list in a schema has one item, the type of what it lists, not {len(entry)}")
        return f"list[{type_text(entry[0])}]"
    parse(entry)
    return str(entry)
