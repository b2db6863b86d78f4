"""The pictures of a batch: which fields have them, and how they are decoded into its memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dsrecords import vision
from dsrecords._dataset.field_types import schema_by_key
from dsrecords._loader.keys import Key
from dsrecords._types.arrays import ShapedArray
from dsrecords._types.image_conversion import MODES
from dsrecords._types.images import Image
from dsrecords._types.parse import parse
from dsrecords.errors import SchemaError


class Picture(NamedTuple):
    """A field that the loader decodes itself.

    Attributes:
        key: of the field.
        decoder: of images, such as `vision.CenterCrop(224)`.
        is_raw: whether the field has pixels, and not encoded images.
    """

    key: Key
    decoder: Any
    is_raw: bool

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of each result; None if it depends on the image."""
        found: tuple[int, ...] | None = getattr(self.decoder, "shape", None)
        return found

    @property
    def num_random(self) -> int:
        """How many random numbers each image takes."""
        return int(getattr(self.decoder, "num_random", 0))

    def decode(self, value: Any, random: np.ndarray | None) -> np.ndarray:
        """Return the array of an encoded image, or of pixels."""
        function = self.decoder.convert if self.is_raw else self.decoder.decode_image
        if random is None:
            found: np.ndarray = function(value)
        else:
            found = function(value, random)
        return found

    def decode_into(self, value: Any, out: np.ndarray, random: np.ndarray | None) -> None:
        """Decode an encoded image, or convert pixels, into a row of a batch."""
        function = self.decoder.convert_into if self.is_raw else self.decoder.decode_image_into
        function(value, out, random)


def pictures_of(dataset: Any, decode: Mapping[Key, Any]) -> tuple[list[Picture], dict[Key, Any]]:
    """Return the fields that the loader decodes, and the decodings that are left to the dataset.

    Args:
        dataset: with or without a schema.
        decode: by field, what was given to the loader.

    Raises:
        SchemaError: there is no such field, or its values are no pictures.
    """
    schema = schema_by_key(dataset)
    for key in decode:
        if key not in schema:
            names = ", ".join(repr(name) for name in schema)
            raise SchemaError(f"decode: there is no field {key!r}: there are {names}")
    own = getattr(dataset, "decode", {})
    functions = _functions_by_key(dataset, schema)
    pictures = []
    others = {}
    for key, type_name in schema.items():
        decoding = decode.get(key, own.get(key))
        picture = None
        if functions.get(key) is None:
            picture = _picture(key, type_name, decoding)
        if picture is not None:
            pictures.append(picture)
        elif key in decode:
            others[key] = decode[key]
    return pictures, others


def _functions_by_key(dataset: Any, schema: Mapping[Key, str]) -> dict[Key, Any]:
    functions = getattr(dataset, "deserializers", [None] * len(schema))
    return dict(zip(schema, functions))


def _picture(key: Key, type_name: str, decoding: Any) -> Picture | None:
    kind = parse(type_name)
    if isinstance(kind, Image):
        decoder = _decoder(decoding)
        if decoder is None:
            return None
        return Picture(key, decoder, False)
    is_decoder = hasattr(decoding, "convert_into") and not isinstance(decoding, type)
    if not is_decoder:
        return None
    if not isinstance(kind, ShapedArray) or not type_name.startswith("uint8["):
        raise SchemaError(
            f"{type(decoding).__name__} is for images and for pixels, arrays of uint8 (height, "
            f"width, 3); this is {type_name}",
            field=key,
        )
    return Picture(key, decoding, True)


def _decoder(decoding: Any) -> Any:
    """The decoder that a decoding of an image field stands for; None if the dataset decodes."""
    if decoding is None:
        return vision.Decode("rgb")
    if isinstance(decoding, str):
        return vision.Decode(decoding) if decoding in MODES else None
    if isinstance(decoding, type) or not hasattr(decoding, "decode_image"):
        return None
    return decoding


def channels_first(picture: Any) -> Any:
    """Return a picture with its channels before height and width: a view of the same memory.

    What has no channels, and None, stay as they are.
    """
    if not isinstance(picture, np.ndarray) or picture.ndim != 3:
        return picture
    return np.moveaxis(picture, -1, 0)


def column_channels_first(column: Any) -> Any:
    """Return the same of a column of pictures: an array (n, height, width, …) or a list."""
    if isinstance(column, list):
        return [channels_first(picture) for picture in column]
    if column.ndim != 4:
        return column
    return np.moveaxis(column, -1, 1)
