"""The grammar of type names: which type `"list[{box: float32[4], label: int32}]?"` is.

A name is one word (`int64`), a struct (`{name: type, …}`), a scalar with a shape (`float32[3,*]`),
or a word with an argument (`list[str]`, `zstd(str)`). With a `?` behind it, a value may be None.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from dsrecords._types.arrays import AnyArray, ShapedArray
from dsrecords._types.audio import Audio
from dsrecords._types.base import Type
from dsrecords._types.bfloat16 import BFloat16
from dsrecords._types.binary import Bytes, Custom
from dsrecords._types.category import Category
from dsrecords._types.compressed import Zstd
from dsrecords._types.images import Image
from dsrecords._types.maps import Map
from dsrecords._types.messages import MsgPack, Protobuf
from dsrecords._types.names import guess_names, is_unicode, quote, quote_all, shorten, unquote
from dsrecords._types.numbers import SCALARS, number_type
from dsrecords._types.registered import Registered, registry
from dsrecords._types.scalars import Scalar
from dsrecords._types.stored_file import AnyFile
from dsrecords._types.strings import Json, Str
from dsrecords._types.structs import Struct
from dsrecords._types.tables import list_of
from dsrecords._types.times import UTC, Time
from dsrecords._types.video import Video
from dsrecords.errors import SchemaError

_LONGEST_NAME = 2**20  # characters, most of which are names of categories
_DEEPEST = 32  # types within types; a damaged header must not make the parser recurse without end

_IMAGES = ("jpeg", "png", "webp", "image")
_WORDS: dict[str, Callable[[], Type]] = {
    **{name: functools.partial(number_type, name) for name in SCALARS},
    "bytes": Bytes,
    "str": Str,
    "json": Json,
    "array": AnyArray,
    "bfloat16": BFloat16,
    "msgpack": MsgPack,
    "audio": Audio,
    "video": Video,
    "file": AnyFile,
    **{name: functools.partial(Image, name) for name in _IMAGES},
}
_OTHER_WORDS = {  # what other libraries call a type
    "int": "int32 or int64",
    "float": "float32 or float64",
    "double": "float64",
    "long": "int64",
    "string": "str",
    "jpg": "jpeg",
    "pil": "image",
    "ndarray": "array",
    "tensor": "array",
    "dict": "json",
    "list": "list[T], such as list[int64]",
    "tuple": "list[T], such as list[int64]",
    "map": "map[T], such as map[int64]",
    "category": "category[cat,dog]",
    "date": "datetime64[D]",
    "datetime": "datetime64[us]",
    "datetime64": "datetime64[us]",
    "complex": "complex128 or complex64",
    "timedelta": "timedelta64[us]",
    "timedelta64": "timedelta64[us]",
    "bf16": "bfloat16",
    "half": "float16",
    "object": "json",
    "protobuf": "protobuf[package.Message]",
    "zstd": "zstd(T), such as zstd(str)",
    "gif": "image",
    "tiff": "image",
    "wav": "audio",
    "mp3": "audio",
    "flac": "audio",
    "mp4": "video",
    "pdf": "file",
    "path": "file",
}
_KNOWN_TYPES = (
    f"{', '.join(_WORDS)}, 'datetime64[s]', 'datetime64[us,UTC]', 'timedelta64[ms]', "
    "'category[cat,dog]', shapes such as 'float32[3,224,224]' and 'float32[*,4]', 'list[T]', "
    "'{name: T, other: T}', 'map[T]', "
    "'zstd(T)', 'protobuf[package.Message]', what dsrecords.register_type was given, "
    "and 'T?' for what may be None"
)
_IN_UTC = f"datetime64[us,{UTC}]"
_LONGEST_SUGGESTED = 50  # characters that are compared with the names of types
_SIMILAR_ENOUGH = 0.81  # of difflib: "flaot32" is float32, "point" is no type

_SIZE = r"(?:\d{1,18}|\*)"
_WITH_SHAPE = re.compile(rf"(.+)\[\s*({_SIZE}\s*(?:,\s*{_SIZE}\s*)*)\]", re.DOTALL | re.ASCII)
_OPEN_SIZE = re.compile(r"(?<=[\[,])\s*(?:none|-1|\?|:|[a-z])?\s*(?=[\],])")  # what others call a *
_WITH_ARGUMENT = re.compile(r"(\w+)\s*([\[(])(.*)([\])])", re.DOTALL)
_ZSTD_OPTION = re.compile(r"(level|dict)\s*=\s*(\d{1,9})")
_TOKEN = re.compile(
    r"""
    "(?:[^"\\]|\\.)*"       # a quoted name
    | [\[({]                # an opening bracket
    | [\])}]                # a closing bracket
    | [,:]                  # a separator
    | [^"\[\](){},:]+       # anything else
    """,
    re.DOTALL | re.VERBOSE,
)


def parse(name: Any, depth: int = 0) -> Type:
    """Return the type with this name, which stands within `depth` others.

    Raises SchemaError if there is no such type.
    """
    if not isinstance(name, str):
        raise _not_a_string(name)
    if len(name) > _LONGEST_NAME:
        raise _error(name, f"a type has at most {_LONGEST_NAME} characters")
    if depth > _DEEPEST:
        raise _error(name, f"there are at most {_DEEPEST} types within each other")
    text = name.strip()
    for rule in _RULES:
        kind = rule(text, depth)
        if kind is not None:
            return kind
    advice = _suggestion(text)
    if not advice:
        advice = f". Types are {_KNOWN_TYPES}"
    raise SchemaError(f"{shorten(name)} is not a type{advice}")


def is_possible_name(name: str) -> bool:
    """Return whether this can be the name of a type, if only in a later version of the library."""
    return 0 < len(name) <= _LONGEST_NAME and is_unicode(name)


def _error(text: str, problem: str) -> SchemaError:
    return SchemaError(f"{shorten(text)}: {problem}")


def _not_a_string(entry: Any) -> SchemaError:
    word = getattr(entry, "__name__", entry)  # of a class such as int or np.float32; of a dtype
    advice = _suggestion(str(word))
    expected = "a type must be a string such as 'int64' or 'str'"
    return SchemaError(f"{expected}, not {entry!r}{advice}")


# The rules of the grammar. Each returns None for names that it is not about.


def _word(text: str, depth: int) -> Type | None:
    make = _WORDS.get(text)
    if make is None:
        return None
    return make()


def _registered(text: str, depth: int) -> Type | None:
    if text not in registry:
        return None
    return Registered(text)


def _nullable(text: str, depth: int) -> Type | None:
    if not text.endswith("?"):
        return None
    inner = text[:-1].rstrip()
    if inner.endswith("?"):
        raise _error(text, "one ? is enough")
    kind = parse(inner, depth)
    kind.nullable = True
    kind.name += "?"
    return kind


def _struct(text: str, depth: int) -> Type | None:
    if not text.startswith("{"):
        return None
    if not text.endswith("}"):
        return None
    fields: dict[str, Type] = {}
    inner = text[1:-1]
    for field in split(inner):
        name_and_type = split(field, ":")
        if len(name_and_type) != 2:
            raise _error(text, "a struct is written as {name: type, other: type}")
        quoted, kind = name_and_type
        name = unquote(quoted)
        if name in fields:
            raise _error(text, f"two fields have the name {shorten(name)}")
        fields[name] = parse(kind, depth + 1)
    return Struct(fields)


def _shaped_array(text: str, depth: int) -> Type | None:
    if text.startswith(("category", "list")):  # category[3] and list[3] have no shape
        return None
    match = _WITH_SHAPE.fullmatch(text)
    if match is None:
        return None
    word, sizes = match.groups()
    scalar = parse(word, depth + 1)
    if not isinstance(scalar, Scalar) or scalar.nullable:
        return None
    shape: list[int | None] = []
    for size in sizes.split(","):
        if size.strip() == "*":
            shape.append(None)
        else:
            shape.append(int(size))
    return ShapedArray(scalar, tuple(shape))


def _with_argument(text: str, depth: int) -> Type | None:
    match = _WITH_ARGUMENT.fullmatch(text)
    if match is None:
        return None
    word, opening, argument, closing = match.groups()
    make = _WITH_ARGUMENTS.get(word + opening + closing)
    if make is None:
        return None
    return make(argument, depth)


_RULES = (
    _word,
    _registered,
    _nullable,
    _struct,
    _shaped_array,
    _with_argument,
)


# The types that are written with an argument.


def _list(argument: str, depth: int) -> Type:
    item = parse(argument, depth + 1)
    return list_of(item)


def _map(argument: str, depth: int) -> Type:
    if len(split(argument)) > 1:
        raise _error(f"map[{argument}]", "keys of a map are strings, so it is written as map[T]")
    item = parse(argument, depth + 1)
    return Map(item)


def _category(argument: str, depth: int) -> Type:
    if not argument.strip():
        return Category([])
    guessed = guess_names(argument)
    if quote_all(guessed) != argument:
        names = [unquote(name) for name in split(argument)]
        return Category(names)
    return Category(guessed, argument)


def _zstd(argument: str, depth: int) -> Type:
    inner, *options = split(argument)
    given: dict[str, int] = {}
    for option in options:
        match = _ZSTD_OPTION.fullmatch(option)
        if match is None or match[1] in given:
            forms = "zstd(T), zstd(T, level=9) or zstd(T, level=9, dict=0)"
            raise _error(f"zstd({argument})", f"zstd is written as {forms}")
        given[match[1]] = int(match[2])
    if depth > 0 and "dict" in given:
        raise SchemaError(
            "a dictionary is of a whole field: zstd(list[T], dict=…), not list[zstd(T, dict=…)]"
        )
    if "dict" in given:
        given["size"] = given.pop("dict")  # as `Zstd` calls it
    kind = parse(inner, depth + 1)
    return Zstd(kind, **given, nested=depth > 0)


def _datetime(argument: str, depth: int) -> Type:
    unit, *zones = split(argument)
    in_utc = zones == [UTC]
    if zones and not in_utc:
        zone = ",".join(zones)
        raise SchemaError(f"times with a zone are stored in UTC: {_IN_UTC}, not {shorten(zone)}")
    return Time("datetime64", unit, in_utc)


def _timedelta(argument: str, depth: int) -> Type:
    return Time("timedelta64", argument)


def _protobuf(argument: str, depth: int) -> Type:
    return Protobuf(argument.strip())


def _ext(argument: str, depth: int) -> Type:
    return Registered(argument.strip())


def _custom(argument: str, depth: int) -> Type:
    return Custom(argument)


_WITH_ARGUMENTS: dict[str, Callable[[str, int], Type]] = {
    "list[]": _list,
    "map[]": _map,
    "category[]": _category,
    "datetime64[]": _datetime,
    "timedelta64[]": _timedelta,
    "zstd()": _zstd,
    "protobuf[]": _protobuf,
    "ext()": _ext,
    "custom()": _custom,
}


def split(text: str, separator: str = ",") -> list[str]:
    """Split a string at the separators (`,` or `:`) that stand outside of brackets and quotes.

    Raises SchemaError if a bracket or a quote is not closed, or a bracket was not opened.
    """
    parts = []
    part_start = 0
    position = 0
    depth = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _error(text, "a quote is not closed")
        token = match[0]
        if token in "[({":
            depth += 1
        elif token in "])}":
            depth -= 1
        elif token == separator and depth == 0:
            part = text[part_start:position]
            parts.append(part.strip())
            part_start = match.end()
        if depth < 0:
            raise _error(text, "a bracket is closed that was not opened")
        position = match.end()
    if depth > 0:
        raise _error(text, "a bracket is not closed")
    last_part = text[part_start:]
    parts.append(last_part.strip())
    return parts


def _suggestion(word: str) -> str:
    """Return what somebody meant who wrote this for a type; empty if that is not clear."""
    import difflib  # here, because few need it

    word = word.lower()[:_LONGEST_SUGGESTED]
    meant = _OTHER_WORDS.get(word)
    with_stars = _OPEN_SIZE.sub("*", word)
    if with_stars != word and _WITH_SHAPE.fullmatch(with_stars):
        meant = with_stars
    if word.startswith("list["):  # such as List[int]
        meant = _OTHER_WORDS["list"]
    if meant is None and word.isidentifier():
        similar = difflib.get_close_matches(
            word,
            _WORDS,
            n=1,
            cutoff=_SIMILAR_ENOUGH,
        )
        meant = "".join(similar)
    if not meant:
        return ""
    return f"; did you mean {meant}?"


def type_text(entry: Any) -> str:
    """Return the type name that an entry of a schema stands for.

    An entry is a type name, a dict of a struct's fields, or a list of one entry.
    Raises SchemaError if it is none of these.
    """
    if isinstance(entry, Mapping):
        fields = []
        for name, field in entry.items():
            kind = type_text(field)
            fields.append(f"{quote(name)}:{kind}")
        return "{" + ",".join(fields) + "}"
    if isinstance(entry, list):
        if len(entry) != 1:
            raise SchemaError(
                f"a list in a schema must have one item, the type of its values, not {len(entry)}"
            )
        return f"list[{type_text(entry[0])}]"
    parse(entry)
    return str(entry)
