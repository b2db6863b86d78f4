"""Serializers and deserializers: functions from values to bytes and back, one pair for each kind of value.

Each can be used bare (`io.save_int`), with options (`io.save_int(bits=8, signed=False)` is again a serializer), or called
(`io.save_int(3)` gives bytes). In a schema each stands for a type, so that what they wrote is read without them.

**Bare `save_int` and `save_float` mean 32 bits**: larger integers are an error, and floats are rounded to 7 digits. Say
`bits=64` for Python's own range.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from dsrecords._schema.schema import has, says
from dsrecords._types.arrays import AnyArray
from dsrecords._types.base import Bytes, describe
from dsrecords._types.images import Image
from dsrecords._types.lists import List
from dsrecords._types.parse import parse
from dsrecords._types.scalars import SCALARS
from dsrecords.errors import CorruptError, DSRecordsError, SchemaError, optional

__all__ = [
    "dump_bool", "dump_cv2", "dump_float", "dump_int", "dump_list", "dump_np", "dump_pil", "dump_raw_file", "dump_str",
    "identity", "kurry",
    "load_bool", "load_cv2", "load_float", "load_int", "load_list", "load_np", "load_pil", "load_raw_file", "load_str",
    "save_bool", "save_cv2", "save_float", "save_int", "save_list", "save_np", "save_pil", "save_raw_file", "save_str",
]  # fmt: skip
Function = Callable[..., Any]
_MISSING = object()


def kurry(function: Function) -> Function:
    """Make a function that, called without its first argument, gives one that remembers the options.

    The result pickles if `function` is defined at the top of a module.

    Example:
        >>> @kurry
        ... def scale(x, by=2):
        ...     return x * by
        >>> scale(3), scale(by=10)(3)
        (6, 30)
    """

    @functools.wraps(function)
    def wrapped(value: Any = _MISSING, /, **options: Any) -> Any:
        if value is _MISSING:
            import inspect  # here, since it takes longer to import than all of this package

            inspect.signature(function).bind_partial(None, **options)  # there is no such option: an error now, not later
            return functools.partial(wrapped, **options)
        return function(value, **options)

    return wrapped


def _function(attribute: str, answer: Function, payload: bool = False) -> Callable[[Function], Function]:
    """Make a function of this module, which answers the schema's question (see `_schema`).

    The question is: with these options, what do you write, or do you read this type? `payload`: whether a serializer's bytes
    are a payload of its type as they stand, so that its options count; else the type's own bytes are used.
    """

    def decorate(function: Function) -> Function:
        wrapped = kurry(function)
        setattr(wrapped, attribute, answer)
        wrapped.dsrecords_payload = payload  # type: ignore[attr-defined]
        return wrapped

    return decorate


def _saver(answer: Function, payload: bool = False) -> Callable[[Function], Function]:
    return _function("dsrecords_type", answer, payload)


def _loader(pattern: str, how: str = "value") -> Callable[[Function], Function]:
    """A deserializer of types whose names fit a pattern: in a dataset it gives the stored "value", or is called with "bytes"."""
    return _function("dsrecords_reads", lambda name, **options: how if re.fullmatch(pattern, name) else None)


def _int_type(bits: int = 32, signed: bool = True) -> str:
    if bits not in (8, 16, 32, 64):
        raise ValueError(f"an integer has 8, 16, 32 or 64 bits, not {bits}")
    return f"{'' if signed else 'u'}int{bits}"


def _float_type(bits: int = 32) -> str:
    if bits not in (16, 32, 64):
        raise ValueError(f"a float has 16, 32 or 64 bits, not {bits}")
    return f"float{bits}"


_IMAGES = "jpeg|png|webp|image"


@_saver(lambda: "bytes", payload=True)
def identity(data: bytes) -> bytes:
    """The bytes as they are. As a serializer: type `bytes`. As a deserializer of any field: its bytes."""
    return data


identity.dsrecords_reads = lambda name: "bytes"  # type: ignore[attr-defined]


@_saver(lambda: "bool")
def save_bool(value: bool) -> bytes:
    """Type `bool`: 1 byte."""
    return parse("bool").dump(value)


@_loader("bool")
def load_bool(data: bytes) -> bool:
    """A bool from its byte."""
    return bool(parse("bool").load(memoryview(data), True))


@_saver(_int_type)
def save_int(value: int, bits: int = 32, signed: bool = True) -> bytes:
    """Types `int8` … `int64`, `uint8` … `uint64`. **Bare, 32 bits.** Out of range is a SchemaError."""
    return parse(_int_type(bits, signed)).dump(value)


@_loader(r"u?int\d+")
def load_int(data: bytes, bits: int = 32, signed: bool = True) -> int:
    """An integer from its bytes; in a dataset, an integer of any size."""
    return int(parse(_int_type(bits, signed)).load(memoryview(data), True))


@_saver(_float_type)
def save_float(value: float, bits: int = 32) -> bytes:
    """Types `float16`, `float32`, `float64`. **Bare, 32 bits.** A finite value that would become infinite is a SchemaError."""
    return parse(_float_type(bits)).dump(value)


@_loader(r"float\d+")
def load_float(data: bytes, bits: int = 32) -> float:
    """A float from its bytes; in a dataset, a float of any size."""
    return float(parse(_float_type(bits)).load(memoryview(data), True))


@_saver(lambda encoding="utf-8": "str")
def save_str(value: str, encoding: str = "utf-8") -> bytes:
    """Type `str`. In a dataset texts are always UTF-8; `encoding` is for what this function returns when it is called."""
    return value.encode(encoding)


@_loader("str")
def load_str(data: bytes, encoding: str = "utf-8") -> str:
    """A text from its bytes."""
    return data.decode(encoding)


@_saver(lambda: "bytes", payload=True)
def save_raw_file(path: str | os.PathLike[str]) -> bytes:
    """Type `bytes`: the contents of the file at a path."""
    with open(path, "rb") as file:
        return file.read()


@_loader(f"bytes|{_IMAGES}", "bytes")
def load_raw_file(data: bytes) -> bytes:
    """The contents of the file, as bytes."""
    return data


def _image_type(format: str = "JPEG", **options: Any) -> str:
    name = {"jpg": "jpeg"}.get(format.lower(), format.lower())
    return name if name in ("jpeg", "png", "webp") else "image"


@_saver(_image_type, payload=True)
def save_pil(image: Any, format: str = "JPEG", quality: int = 95, **options: Any) -> bytes:
    """Types `jpeg`, `png`, `webp`, or `image` for other formats: a Pillow image, encoded.

    Args:
        image: a `PIL.Image.Image`; it is not closed.
        format: Pillow's name of the format.
        quality: of lossy formats.
        options: of `PIL.Image.Image.save`.
    """
    import io

    if not isinstance(image, optional("PIL.Image", "pillow").Image):
        text = f"save_pil takes a Pillow image, not {describe(image)}"
        raise SchemaError(
            text + "; a path is taken by the type 'jpeg' and by io.save_raw_file" * isinstance(image, (str, os.PathLike))
        )
    buffer = io.BytesIO()
    image.save(buffer, "JPEG" if format.lower() == "jpg" else format, quality=quality, **options)
    return buffer.getvalue()


@_loader(_IMAGES, "bytes")
def load_pil(data: bytes) -> Any:
    """A loaded Pillow image from its encoded bytes. Raises CorruptError."""
    kind = Image("image")
    try:
        return kind.load(memoryview(data), True)
    except DSRecordsError:
        raise
    except kind.unreadable as error:
        raise CorruptError(f"Pillow cannot decode these bytes: {error}") from error


@_saver(lambda: "array", payload=True)
def save_np(array: Any) -> bytes:
    """Type `array`: a NumPy array of any dtype (but objects) and shape."""
    return AnyArray().dump(array)


@_loader(r"array|(?!list|category)\w+(\[\w+\])?\[[\d*,]+\]")
def load_np(data: bytes) -> Any:
    """An array from the bytes of `save_np`."""
    return AnyArray().load(memoryview(data), True)


def _cv2_type(ext: str | None = None, flags: Sequence[int] | None = None) -> str:
    if ext is None:
        raise TypeError("save_cv2 needs the format, as in io.save_cv2(ext='.png')")
    return _image_type(ext.lstrip("."))


@_saver(_cv2_type, payload=True)
def save_cv2(image: Any, ext: str, flags: Sequence[int] | None = None) -> bytes:
    """Types `jpeg`, `png`, `webp`, `image`: an array as OpenCV has it (BGR), encoded by `cv2.imencode`.

    Args:
        image: height × width × channel (BGR), as `cv2.imencode` takes it.
        ext: such as ".png"; there is no default.
        flags: of `cv2.imencode`.
    """
    cv2 = optional("cv2", "opencv-python-headless")
    try:
        return bytes(cv2.imencode("." + ext.lstrip("."), image, list(flags or ()))[1].tobytes())
    except cv2.error as error:
        raise SchemaError(f"OpenCV cannot encode {describe(image)} as {ext}: {error}") from None


@_loader(_IMAGES, "bytes")
def load_cv2(data: bytes, flags: int | None = None) -> Any:
    """An array (BGR) from encoded bytes, by `cv2.imdecode`; by default with `cv2.IMREAD_UNCHANGED`. Raises CorruptError."""
    cv2 = optional("cv2", "opencv-python-headless")
    import numpy as np

    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED if flags is None else flags)
    except cv2.error as error:  # more pixels than OpenCV allows
        raise CorruptError(f"OpenCV cannot decode these bytes: {error}") from None
    if image is None:
        raise CorruptError("OpenCV cannot decode these bytes")
    return image


def _one(function: Function | None, other: Function | None, example: str) -> Function:
    chosen = function or other
    if chosen is None:
        raise TypeError(f"a list needs the function for its items, as in io.{example}")
    return chosen


def _list_type(save_fn: Function | None = None, dumper: Function | None = None) -> str | None:
    item = says(_one(save_fn, dumper, "save_list(save_fn=io.save_int)"), "dsrecords_type")
    return None if item is None else f"list[{item}]"


@_saver(_list_type, payload=True)
def save_list(values: Sequence[Any], save_fn: Function | None = None, dumper: Function | None = None) -> bytes:
    """Type `list[T]`: a list of what `save_fn` takes; `dumper` is another name of it. Lists nest.

    With a function of one's own the items are its bytes, and reading takes `load_list` with a function for them.
    """
    save_fn = _one(save_fn, dumper, "save_list(save_fn=io.save_int)")
    item = says(save_fn, "dsrecords_type")
    if item is None or says(save_fn, "dsrecords_payload"):
        return List(Bytes()).dump([save_fn(value) for value in values])
    return List(parse(item)).dump(values)


def _reads_list(name: str, load_fn: Function | None = None, loader: Function | None = None) -> str | None:
    load_fn = _one(load_fn, loader, "load_list(load_fn=io.load_int)")
    if not name.startswith("list["):
        return "bytes" if name == "custom(save_list)" else None
    item = name[5:-1]
    if not has(load_fn, "dsrecords_reads"):
        return None if item in SCALARS else "bytes"
    return says(load_fn, "dsrecords_reads", item)  # type: ignore[no-any-return]


@_function("dsrecords_reads", _reads_list)
def load_list(data: bytes, load_fn: Function | None = None, loader: Function | None = None) -> list[Any]:
    """A list from the bytes of `save_list`; `load_fn` reads each item, `loader` is another name of it."""
    load_fn = _one(load_fn, loader, "load_list(load_fn=io.load_int)")
    options = load_fn.keywords if isinstance(load_fn, functools.partial) else {}
    types: dict[Function, Function] = {
        load_int: _int_type,
        load_float: _float_type,
        load_bool: lambda: "bool",
        load_str: lambda **_: "str",
    }
    # Scalars lie side by side, without sizes; texts are UTF-8, whatever the encoding of what `load_str` reads alone
    if (type_name := types.get(getattr(load_fn, "func", load_fn))) is not None:
        return List(parse(type_name(**options))).load(memoryview(data), True)
    return [load_fn(item) for item in List(Bytes()).load(memoryview(data), True)]


# Other names of the same, one by one, so that type checkers and editors see them
dump_bool = save_bool
dump_cv2 = save_cv2
dump_float = save_float
dump_int = save_int
dump_list = save_list
dump_np = save_np
dump_pil = save_pil
dump_raw_file = save_raw_file
dump_str = save_str


def __dir__() -> list[str]:
    return __all__
