"""What was given to read and write a dataset: functions, decodings, a schema. Knows no files."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dsrecords._schema.binding import Deserializer
from dsrecords._schema.resolve import Serializer, make_schema
from dsrecords._schema.schema import Field, Key, Schema
from dsrecords.errors import SchemaError

Functions = Sequence[Deserializer | None] | Mapping[Any, Deserializer | None]
# By field, names of decodings, decoders or classes of messages; of structs and lists of them, these
# by part.
Decodings = Mapping[Any, Any]
Transform = Callable[[Any], Any]


@dataclasses.dataclass
class Options:
    """How a dataset reads and writes its files. Never changed, but replaced as a whole.

    Copies have the same. A pickle leaves out the schema, which is then made anew from that of the
    file: see `fitted_to`.

    Attributes:
        deserializers: the functions that read the fields, as they were given.
        serializers: by field, the functions that write; other fields are written as their types
            say. None if neither serializers nor a schema was given.
        decode: by field, how encoded values are decoded.
        copy: whether what is read is owned.
        verify: True, False or "always".
        schema: the schema that was given, whose fields write by `serializers`; None as above.
        lock: whether a writer locks the files.
        drop_behind: whether a loop lets the system forget what it has read.
        selected: the fields that are shown, in their order; None: all.
    """

    deserializers: Functions | None = None
    serializers: Mapping[Key, Serializer] | None = None
    decode: Decodings | None = None
    copy: bool = True
    verify: bool | str = True
    schema: Schema | None = None
    lock: bool = True
    drop_behind: bool = False
    selected: tuple[Key, ...] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        serializers = None
        if self.serializers is not None:
            serializers = _picklable(self.serializers)
        arguments = (
            self.deserializers,
            serializers,
            self.decode,
            self.copy,
            self.verify,
            None,
            self.lock,
            self.drop_behind,
            self.selected,
        )
        return Options, arguments

    def __deepcopy__(self, memo: dict[int, Any]) -> Options:
        return Options(
            copy.deepcopy(self.deserializers, memo),
            copy.deepcopy(self.serializers, memo),
            copy.deepcopy(self.decode, memo),
            self.copy,
            self.verify,
            lock=self.lock,
            drop_behind=self.drop_behind,
            selected=self.selected,
        )

    def fitted_to(self, schema: Schema) -> Options:
        """Return the options of a copy, in which the schema is that of the file."""
        if self.serializers is None:
            return self
        written = schema_written_by(schema, self.serializers)
        return dataclasses.replace(self, schema=written)


def make_options(
    schema: Any,
    deserializers: Functions | None,
    decode: Any,
    copy: bool,
    verify: bool | str,
    lock: bool,
    drop_behind: bool,
) -> Options:
    """Return what was given, validated as far as that needs no files.

    Raises:
        ValueError: `verify` is none of its values.
        TypeError: `decode` is no dict.
        SchemaError: the schema is none.
    """
    if verify not in (True, False, "always"):
        raise ValueError(f"verify must be True, False or 'always', not {verify!r}")
    if decode is not None:
        check_decode(decode)
    serializers = None
    made = None
    if schema is not None:
        made = make_schema(schema)
        serializers = _serializers_of(schema)
    return Options(
        deserializers,
        serializers,
        decode,
        copy,
        verify,
        made,
        lock,
        drop_behind,
    )


def first_given(*arguments: Any) -> Any:
    """Return the first of an argument's several names that was given; None if none was."""
    for argument in arguments:
        if argument is not None:
            return argument
    return None


def check_decode(decode: Any) -> None:
    """Raise TypeError if this does not say of fields how they are decoded."""
    if not isinstance(decode, Mapping):
        raise TypeError(f"decode must be a dict, such as {{'image': 'array'}}, not {decode!r}")


def check_transform(transform: Any) -> None:
    """Raise TypeError if this cannot be called with samples."""
    if transform is not None and not callable(transform):
        message = "transform must be a function that is called with each sample"
        raise TypeError(f"{message}, not {transform!r}")


def check_on_error(on_error: Any) -> None:
    """Raise ValueError if this is nothing that can be done at a record that cannot be read."""
    if on_error not in ("raise", "skip") and not callable(on_error):
        raise ValueError(f"on_error must be 'raise', 'skip' or a function, not {on_error!r}")


# Serializers


def is_function(entry: Any) -> bool:
    """Return whether an entry of a schema is a function that writes, and not a type."""
    return callable(entry) and not isinstance(entry, type)


def _serializers_of(schema: Any) -> dict[Key, Serializer]:
    """Return the functions among the entries of a schema, by field."""
    entries: dict[Key, Any] = {}  # of a class with annotations: none, as it has only types
    if isinstance(schema, Mapping):
        entries = dict(schema)
    elif isinstance(schema, Sequence):
        entries = dict(enumerate(schema))
    return {key: entry for key, entry in entries.items() if is_function(entry)}


def schema_written_by(
    schema: Schema,
    serializers: Mapping[Key, Serializer],
) -> Schema:
    """Return the same schema, in which these functions write the fields that they are given for."""
    fields = []
    for field in schema.fields:
        dump = None
        serializer = serializers.get(field.key)
        if serializer is not None:
            alone = make_schema([serializer])
            dump = alone.fields[0].dump
        written = Field(field.key, field.type, dump)
        fields.append(written)
    return Schema(fields, schema.named)


class LostSerializer:
    """In a pickled copy, in the place of a serializer that does not pickle: an error to write.

    Reading needs no serializers, so a copy that only reads is not refused.
    """

    def __init__(self, key: Key, name: str, reason: str) -> None:
        self.__name__ = name
        self.key = key
        self.reason = reason

    def __call__(self, value: Any) -> bytes:
        problem = f"the serializer {self.__name__} did not pickle ({self.reason})"
        advice = "define it at the top of a module"
        raise SchemaError(f"this copy cannot write: {problem}; {advice}", field=self.key)


def _picklable(serializers: Mapping[Key, Serializer]) -> dict[Key, Serializer]:
    """Return functions that can be pickled; in the place of others, what raises their error."""
    functions: dict[Key, Serializer] = {}
    for key, serializer in serializers.items():
        try:
            pickle.dumps(serializer)
        except Exception as error:  # noqa: BLE001 - an object of the user's may raise anything
            name = getattr(serializer, "__qualname__", repr(serializer))
            functions[key] = LostSerializer(key, name, str(error))
        else:
            functions[key] = serializer
    return functions
