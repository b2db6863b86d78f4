"""Which form in Arrow the values of each type have."""

from __future__ import annotations

import copy
from typing import Any

from dsrecords._arrow.arrays import AnyArrayForm, FixedArrayForm, FreeArrayForm, ShapeAndDataForm
from dsrecords._arrow.base import Form
from dsrecords._arrow.nested import ListForm, MapForm, StructForm
from dsrecords._arrow.payloads import (
    BytesForm,
    JsonForm,
    MessageForm,
    OpaqueForm,
    StoredFileForm,
    StringForm,
)
from dsrecords._arrow.scalars import (
    BFloat16Form,
    CategoryForm,
    ComplexForm,
    NumberForm,
    TimeForm,
)
from dsrecords._types.arrays import AnyArray, ShapedArray
from dsrecords._types.base import Type
from dsrecords._types.bfloat16 import BFloat16
from dsrecords._types.binary import Bytes, Custom
from dsrecords._types.category import Category
from dsrecords._types.compressed import Zstd
from dsrecords._types.external_file import File
from dsrecords._types.lists import List
from dsrecords._types.maps import Map
from dsrecords._types.messages import MsgPack, Protobuf
from dsrecords._types.numbers import Complex
from dsrecords._types.parse import parse
from dsrecords._types.registered import Registered
from dsrecords._types.scalars import Scalar
from dsrecords._types.stored_file import AnyFile
from dsrecords._types.strings import Json, Str
from dsrecords._types.structs import Struct
from dsrecords._types.tables import Table
from dsrecords._types.times import Time

_FILE = "{suffix:str,data:bytes}"
_ARRAY = "{dtype:str,shape:list[int64],data:bytes}"


class CompressedForm(Form):
    """`zstd(T)`: what `T` is.

    Args:
        kind: the type.
        inner: the form of `T`.
    """

    def __init__(self, kind: Zstd, inner: Form) -> None:
        raw = copy.copy(kind)
        raw.inner = inner.raw
        super().__init__(kind, raw, inner.arrow_type)
        self.inner = inner

    def build(self, values: Any) -> Any:
        return self.inner.build(values)

    def restore(self, array: Any) -> Any:
        return self.inner.restore(array)

    def written(self) -> str:
        if self.inner.written() == self.inner.kind.name:
            return super().written()
        return f"zstd({self.inner.written()})"


def form_of(kind: Type) -> Form:
    """Return the form of a type.

    Raises:
        ImportError: pyarrow is not installed.
    """
    form = _form_of(kind)
    if form.raw is not kind:
        form.raw.nullable = kind.nullable
    return form


def _form_of(kind: Type) -> Form:
    if isinstance(kind, Scalar):
        return _form_of_scalar(kind)
    if isinstance(kind, ShapedArray):
        return _form_of_arrays(kind)
    nested = _form_of_nested(kind)
    if nested is not None:
        return nested
    for cls, make in _PAYLOADS:
        if isinstance(kind, cls):
            form: Form = make(kind)
            return form
    return OpaqueForm(kind)


_PAYLOADS: tuple[tuple[Any, Any], ...] = (
    (Str, StringForm),
    (Json, JsonForm),
    (Bytes, BytesForm),
    (File, BytesForm),
    (Protobuf, BytesForm),
    (MsgPack, MessageForm),
    (Registered, MessageForm),
    (Custom, OpaqueForm),
)


def _form_of_scalar(kind: Scalar) -> Form:
    if isinstance(kind, Time):
        return TimeForm(kind)
    if isinstance(kind, Category):
        return CategoryForm(kind)
    if isinstance(kind, Complex):
        return ComplexForm(kind)
    if isinstance(kind, BFloat16):
        return BFloat16Form(kind)
    return NumberForm(kind)


def _form_of_arrays(kind: ShapedArray) -> Form:
    element = form_of(kind.scalar)
    if kind.free > 1 or 0 in kind.shape:
        return ShapeAndDataForm(kind, element)
    if kind.free == 1:
        return FreeArrayForm(kind, element)
    return FixedArrayForm(kind, element)


def _form_of_nested(kind: Type) -> Form | None:
    if isinstance(kind, List):
        return ListForm(kind, form_of(kind.item))
    if isinstance(kind, Table):
        return ListForm(kind, form_of(kind.row_type))
    if isinstance(kind, Struct):
        return StructForm(kind, {key: form_of(part) for key, part in kind.parts.items()})
    if isinstance(kind, Map):
        return MapForm(kind, form_of(Str()), form_of(kind.item))
    if isinstance(kind, Zstd):
        return CompressedForm(kind, form_of(kind.inner))
    if isinstance(kind, AnyFile):
        return StoredFileForm(kind, form_of(parse(_FILE)))
    if isinstance(kind, AnyArray):
        return AnyArrayForm(kind, form_of(parse(_ARRAY)))
    return None
