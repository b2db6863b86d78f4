"""Serializers and deserializers: functions from values to bytes and back.

Each can be used bare (`io.save_int`), with options (`io.save_int(bits=8, signed=False)` is again a
serializer), or called (`io.save_int(3)` returns bytes). In a schema each serializer stands for a
type, so a dataset that was written with serializers can be read without deserializers.

**Bare `save_int` and `save_float` mean 32 bits**: larger integers are an error, and floats are
rounded to about 7 digits. Use `bits=64` for the range and the precision of Python's numbers.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._schema.functions import (
    is_deserializer,
    options_of,
    way_of_reading,
    without_options,
    writes_payload,
    written_type,
)
from dsrecords._types.array_likes import as_array
from dsrecords._types.arrays import AnyArray
from dsrecords._types.base import describe
from dsrecords._types.binary import Bytes
from dsrecords._types.external_file import content
from dsrecords._types.image_encoding import encode_pillow
from dsrecords._types.images import Image
from dsrecords._types.lists import List
from dsrecords._types.numbers import SCALARS
from dsrecords._types.parse import parse
from dsrecords.errors import DecodeError, SchemaError

__all__ = [
    "dump_bool",
    "dump_cv2",
    "dump_float",
    "dump_int",
    "dump_list",
    "dump_np",
    "dump_pil",
    "dump_raw_file",
    "dump_str",
    "identity",
    "kurry",
    "load_bool",
    "load_cv2",
    "load_float",
    "load_int",
    "load_list",
    "load_np",
    "load_pil",
    "load_raw_file",
    "load_str",
    "save_bool",
    "save_cv2",
    "save_float",
    "save_int",
    "save_list",
    "save_np",
    "save_pil",
    "save_raw_file",
    "save_str",
]

Function = Callable[..., Any]
_MISSING = object()


# Functions that take options and describe themselves


def kurry(function: Function) -> Function:
    """Make a function that, called without its first argument, returns one with options bound.

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
            # An option that does not exist is an error now, not when the first value is written.
            inspect.signature(function).bind_partial(None, **options)
            return functools.partial(wrapped, **options)
        return function(value, **options)

    return wrapped


def _describing_itself(
    attribute: str, answer: Function, payload: bool = False
) -> Callable[[Function], Function]:
    """Return a decorator for the functions of this module; `_schema.functions` reads what it adds.

    Args:
        attribute: "dsrecords_type" of a serializer, "dsrecords_reads" of a deserializer.
        answer: computes the attribute from the options of the function.
        payload: whether the bytes of a serializer are stored as they are, so that its options
            matter. If not, the type encodes the value.
    """

    def decorate(function: Function) -> Function:
        wrapped = kurry(function)
        setattr(wrapped, attribute, answer)
        wrapped.dsrecords_payload = payload  # type: ignore[attr-defined]
        return wrapped

    return decorate


def _serializer(type_name: Function, payload: bool = False) -> Callable[[Function], Function]:
    return _describing_itself("dsrecords_type", type_name, payload)


def _deserializer(pattern: str, way: str = "value") -> Callable[[Function], Function]:
    """Return the decorator of a deserializer for the types whose names match a pattern.

    Reading a field of a dataset, it returns what the type decodes ("value"), or it is called with
    the stored "bytes".
    """

    def way_of(name: str, **options: Any) -> str | None:
        return way if re.fullmatch(pattern, name) else None

    return _describing_itself("dsrecords_reads", way_of)


# Bytes, numbers, strings


@_serializer(lambda: "bytes", payload=True)
def identity(data: bytes) -> bytes:
    """The bytes as they are. Serializer of type `bytes`; deserializer of the bytes of any field."""
    return data


identity.dsrecords_reads = lambda name: "bytes"  # type: ignore[attr-defined]


@_serializer(lambda: "bool")
def save_bool(value: bool) -> bytes:
    """Type `bool`: 1 byte."""
    return parse("bool").dump(value)


@_deserializer("bool")
def load_bool(data: bytes) -> bool:
    """A bool from its byte."""
    return bool(parse("bool").load(memoryview(data), True))


def _int_type(bits: int = 32, signed: bool = True) -> str:
    if bits not in (8, 16, 32, 64):
        raise ValueError(f"bits of an integer must be 8, 16, 32 or 64, not {bits}")
    if signed:
        return f"int{bits}"
    return f"uint{bits}"


@_serializer(_int_type)
def save_int(value: int, bits: int = 32, signed: bool = True) -> bytes:
    """Types `int8` … `int64`, `uint8` … `uint64`. **Bare: 32 bits, signed**.

    Raises:
        SchemaError: the value is out of range, or not an integer.
    """
    integer = parse(_int_type(bits, signed))
    return integer.dump(value)


@_deserializer(r"u?int\d+")
def load_int(data: bytes, bits: int = 32, signed: bool = True) -> int:
    """An integer from its bytes. In a dataset, integers of any size; the options are ignored."""
    integer = parse(_int_type(bits, signed))
    return int(integer.load(memoryview(data), True))


def _float_type(bits: int = 32) -> str:
    if bits not in (16, 32, 64):
        raise ValueError(f"bits of a float must be 16, 32 or 64, not {bits}")
    return f"float{bits}"


@_serializer(_float_type)
def save_float(value: float, bits: int = 32) -> bytes:
    """Types `float16`, `float32`, `float64`. **Bare: 32 bits**.

    Raises:
        SchemaError: the value is finite but would become infinite, or is not a number.
    """
    number = parse(_float_type(bits))
    return number.dump(value)


@_deserializer(r"float\d+")
def load_float(data: bytes, bits: int = 32) -> float:
    """A float from its bytes. In a dataset, floats of any size; the option is ignored."""
    number = parse(_float_type(bits))
    return float(number.load(memoryview(data), True))


@_serializer(lambda encoding="utf-8": "str")
def save_str(value: str, encoding: str = "utf-8") -> bytes:
    """Type `str`. In a dataset strings are always UTF-8; `encoding` is for direct calls."""
    return value.encode(encoding)


@_deserializer("str")
def load_str(data: bytes, encoding: str = "utf-8") -> str:
    """A string from its bytes. In a dataset strings are always UTF-8; `encoding` is ignored."""
    return data.decode(encoding)


# Files and images

_IMAGE_TYPES = "jpeg|png|webp|image"


@_serializer(lambda: "bytes", payload=True)
def save_raw_file(path: str | os.PathLike[str]) -> bytes:
    """Type `bytes`: the contents of the file at a path.

    Raises:
        OSError: it cannot be read.
        SchemaError: it is a URL, not a path.
    """
    return content(path)


@_deserializer(f"bytes|{_IMAGE_TYPES}", "bytes")
def load_raw_file(data: bytes) -> bytes:
    """The contents of the file, as bytes."""
    return data


def _image_type(format: str = "JPEG", **options: Any) -> str:
    name = format.lower()
    if name == "jpg":
        return "jpeg"
    if name in ("jpeg", "png", "webp"):
        return name
    return "image"


@_serializer(_image_type, payload=True)
def save_pil(image: Any, format: str = "JPEG", quality: int = 95, **options: Any) -> bytes:
    """Types `jpeg`, `png`, `webp`, or `image` for other formats: a Pillow image, encoded.

    Args:
        image: a `PIL.Image.Image`; it is not closed.
        format: Pillow's name of the format, or "JPG".
        quality: of lossy formats, as Pillow takes it.
        options: of `PIL.Image.Image.save`. EXIF data, the ICC profile and XMP are kept in JPEG,
            PNG and WebP, unless the options name others.

    Raises:
        SchemaError: `image` is not a Pillow image, or the format does not keep its mode or frames.
        ImportError: Pillow is not installed.
    """
    pillow = import_optional("PIL.Image", "pillow")
    if not isinstance(image, pillow.Image):
        message = f"save_pil takes a Pillow image, not {describe(image)}"
        if isinstance(image, (str, os.PathLike)):
            message += "; use the type 'jpeg' or io.save_raw_file for a path"
        raise SchemaError(message)
    if format.lower() == "jpg":
        format = "JPEG"
    options["quality"] = quality
    return encode_pillow(image, format.upper(), format.lower(), options)


@_deserializer(_IMAGE_TYPES, "bytes")
def load_pil(data: bytes) -> Any:
    """A loaded Pillow image from its encoded bytes.

    Raises:
        CorruptError: the bytes are not an image of a known format.
        DecodeError: Pillow cannot decode the bytes.
        ImportError: Pillow is not installed.
    """
    return Image("image").load(memoryview(data), True)


# By extension, the dtypes and the numbers of channels that a format gives back.
_KEPT_BY_CV2 = {
    **dict.fromkeys(("jpg", "jpeg", "jpe"), (("uint8",), (1, 3))),
    "png": (("uint8", "uint16"), (1, 3, 4)),
    "webp": (("uint8",), (3, 4)),
    **dict.fromkeys(("bmp", "dib"), (("uint8",), (1, 3, 4))),
    "ppm": (("uint8", "uint16"), (3,)),
    "pgm": (("uint8", "uint16"), (1,)),
}


def _cv2_type(ext: str | None = None, flags: Sequence[int] | None = None) -> str:
    if ext is None:
        raise TypeError("save_cv2 needs a format, as in io.save_cv2(ext='.png')")
    return _image_type(ext.lstrip("."))


@_serializer(_cv2_type, payload=True)
def save_cv2(image: Any, ext: str, flags: Sequence[int] | None = None) -> bytes:
    """Types `jpeg`, `png`, `webp`, `image`: an array, encoded by `cv2.imencode`.

    Args:
        image: height × width × channel (BGR), as `cv2.imencode` takes it.
        ext: the format, such as ".png"; there is no default.
        flags: of `cv2.imencode`.

    Raises:
        SchemaError: OpenCV cannot encode the array, or the format does not keep its dtype or
            channels.
        ImportError: OpenCV is not installed.
    """
    cv2 = import_optional("cv2", "opencv-python-headless")
    extension = "." + ext.lstrip(".")
    array = as_array(image)
    if array is None:
        raise SchemaError(f"save_cv2 takes an array, not {describe(image)}")
    _check_kept_by_cv2(array, ext)
    problem = f"OpenCV cannot encode {describe(array)} as {ext}"
    try:
        is_encoded, encoded = cv2.imencode(extension, array, list(flags or ()))
    except cv2.error as error:
        raise SchemaError(f"{problem}: {error}") from None
    if not is_encoded:
        raise SchemaError(problem)
    return bytes(encoded.tobytes())


def _check_kept_by_cv2(array: np.ndarray, ext: str) -> None:
    """Raise SchemaError if OpenCV would convert an array to encode it, which it does silently."""
    kept = _KEPT_BY_CV2.get(ext.lstrip(".").lower())
    if kept is None:
        return
    dtypes, channels = kept
    given = 1
    if array.ndim == 3:
        given = array.shape[2]
    if array.dtype.name in dtypes and given in channels:
        return
    counts = " or ".join(str(count) for count in channels)
    expected = f"{' or '.join(dtypes)} with {counts} channels"
    raise SchemaError(f"{ext} keeps arrays of {expected}, not {describe(array)}")


@_deserializer(_IMAGE_TYPES, "bytes")
def load_cv2(data: bytes, flags: int | None = None) -> Any:
    """An array (height × width × channel, BGR) from encoded bytes, decoded by `cv2.imdecode`.

    Args:
        data: the encoded image.
        flags: of `cv2.imdecode`; by default `cv2.IMREAD_UNCHANGED`.

    Raises:
        DecodeError: OpenCV cannot decode the bytes.
        ImportError: OpenCV is not installed.
    """
    cv2 = import_optional("cv2", "opencv-python-headless")
    if flags is None:
        flags = cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError) as error:  # such as more pixels than OpenCV allows
        raise DecodeError(f"OpenCV cannot decode these bytes: {error}") from None
    if image is None:
        raise DecodeError("OpenCV cannot decode these bytes")
    return image


# Arrays


@_serializer(lambda: "array", payload=True)
def save_np(array: Any) -> bytes:
    """Type `array`: a NumPy array of any shape, and of any dtype except objects."""
    return AnyArray().dump(array)


@_deserializer(r"array|(?!list|category)\w+(\[\w+\])?\[[\d*,]+\]")
def load_np(data: bytes) -> Any:
    """An array from the bytes of `save_np`. In a dataset, arrays of a fixed dtype as well."""
    return AnyArray().load(memoryview(data), True)


# Lists


def _item_function(function: Function | None, alias: Function | None, example: str) -> Function:
    chosen = function or alias
    if chosen is None:
        raise TypeError(f"a list needs the function for its items, as in io.{example}")
    return chosen


def _item_serializer(save_fn: Function | None, dumper: Function | None) -> Function:
    return _item_function(save_fn, dumper, "save_list(save_fn=io.save_int)")


def _item_deserializer(load_fn: Function | None, loader: Function | None) -> Function:
    return _item_function(load_fn, loader, "load_list(load_fn=io.load_int)")


def _list_type(save_fn: Function | None = None, dumper: Function | None = None) -> str | None:
    item = written_type(_item_serializer(save_fn, dumper))
    if item is None:
        return None
    return f"list[{item}]"


@_serializer(_list_type, payload=True)
def save_list(
    values: Sequence[Any], save_fn: Function | None = None, dumper: Function | None = None
) -> bytes:
    """Type `list[T]`: a list of what `save_fn` takes. Lists nest.

    With a function of your own, the items are stored as its bytes, and reading takes `load_list`
    with a function for them.

    Args:
        values: the list.
        save_fn: the serializer of the items.
        dumper: another name of `save_fn`.

    Raises:
        TypeError: neither `save_fn` nor `dumper` is given.
        SchemaError: a value does not fit.
    """
    save_item = _item_serializer(save_fn, dumper)
    item = written_type(save_item)
    if item is None or writes_payload(save_item):
        payloads = [save_item(value) for value in values]
        return List(Bytes()).dump(payloads)
    return List(parse(item)).dump(values)


def _way_of_reading_list(
    name: str, load_fn: Function | None = None, loader: Function | None = None
) -> str | None:
    load_item = _item_deserializer(load_fn, loader)
    if name == "custom(save_list)":  # a list of items that a function of the user's wrote
        return "bytes"
    if not name.startswith("list["):
        return None
    item = name.removeprefix("list[").removesuffix("]")
    if is_deserializer(load_item):
        return way_of_reading(load_item, item)
    if item in SCALARS:  # in a list, numbers have no payloads that a function could be called with
        return None
    return "bytes"


@_describing_itself("dsrecords_reads", _way_of_reading_list)
def load_list(
    data: bytes, load_fn: Function | None = None, loader: Function | None = None
) -> list[Any]:
    """A list from the bytes of `save_list`.

    Args:
        data: the bytes.
        load_fn: the deserializer of the items.
        loader: another name of `load_fn`.

    Raises:
        TypeError: neither `load_fn` nor `loader` is given.
        CorruptError: the bytes are not a list of such items.
    """
    load_item = _item_deserializer(load_fn, loader)
    item_type = _type_of_items(load_item)
    if item_type is not None:
        return List(parse(item_type)).load(memoryview(data), True)
    payloads = List(Bytes()).load(memoryview(data), True)
    return [load_item(payload) for payload in payloads]


def _type_of_items(load_item: Function) -> str | None:
    """Return the type of items that must be read together; None if each is read from its bytes.

    Numbers are stored without sizes. Strings are UTF-8 in a list, whatever encoding `load_str`
    would use for a single one.
    """
    function = without_options(load_item)
    options = options_of(load_item)
    if function is load_int:
        return _int_type(**options)
    if function is load_float:
        return _float_type(**options)
    if function is load_bool:
        return "bool"
    if function is load_str:
        return "str"
    return None


# Other names of the same functions, one by one, so that type checkers and editors see them
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
