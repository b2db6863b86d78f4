"""CSV by pyarrow: the same types and values as without it, many times faster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from dsrecords._convert.base import unreadable
from dsrecords._convert.cells import FLOAT, type_of
from dsrecords._optional import import_optional
from dsrecords.errors import CorruptError

_TRUE = ["true", "True"]
_FALSE = ["false", "False"]
_NAMES = {"int64": "int64", "double": "float64", "bool": "bool"}
"""Arrow's names of types, and ours; what has another is a string, also dates."""
_NEWLINE = ord("\n")
_QUOTE = ord('"')
_SPACE = ord(" ")
_PLUS = ord("+")
_MINUS = ord("-")
_POINT = ord(".")
_ZERO = ord("0")
_FIRST_BLOCK = 2**18  # bytes of which the types are tried on all of a file
_BLOCK = 2**22  # bytes that are parsed together
_LOOK = 2**16  # bytes that are looked at together: what is made of them is memory used again
_MOST_KEPT = 2**26  # bytes of columns
_TYPES = ("int64", "float64", "bool")
_SIMPLE = (
    *("bool", "str", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64", "float32", "float64"),
)
_BOOL = "true|false|True|False"


class CsvFile(Protocol):
    """A file of CSV.

    Attributes:
        path: of the file.
        separator: between cells.
        null: what a cell says that has no value.
        names: of the columns.
        failure: what reading it has raised.
        kept: its columns as batches of Arrow, if they were kept when they were looked at.
    """

    path: str
    separator: str
    null: str
    names: list[str]
    failure: Exception | None
    kept: list[Any] | None


class _Look(NamedTuple):
    """What the bytes of a file say, before they are cells.

    Attributes:
        has_pairs: whether the number of quotes is even. An odd one may mean that a quote is not
            closed: pyarrow takes all that follows for the cell then, and says nothing.
        is_odd: whether a cell may begin as numbers do that are no numbers here, such as 007 and +5.
    """

    has_pairs: bool
    is_odd: bool


def _look_at(source: CsvFile) -> _Look:
    quotes = 0
    is_odd = False
    last = b""
    separator = ord(source.separator)
    with open(source.path, "rb") as file:
        while True:
            data = file.read(_LOOK)
            quotes += data.count(b'"')
            if not is_odd:
                is_odd = _begins_oddly(last + (data or b"\n"), separator)
            if not data:
                return _Look(quotes % 2 == 0, is_odd)
            last = data[-3:]


def _begins_oddly(data: bytes, separator: int) -> bool:
    """Return whether a cell begins so: all bytes but the last two are looked at."""
    codes = np.frombuffer(data, np.uint8)
    digits = codes - np.uint8(_ZERO)
    is_digit = digits < 10
    is_zero = digits == 0
    found = is_zero[1:-1] & is_digit[2:]
    found &= ~is_digit[:-2]  # within a number zeros are as usual as other digits
    if b"-" in data:
        found |= (codes[1:-1] == _MINUS) & is_zero[2:]
    for mark, code in ((b"+", _PLUS), (b" ", _SPACE)):
        if mark in data:
            found |= codes[1:-1] == code
    at = np.flatnonzero(found)
    before = codes[at]
    at = at[(before == separator) | (before == _NEWLINE) | (before == _QUOTE)]
    is_negative = codes[at + 1] == _MINUS
    after = codes[np.minimum(at + 3, len(codes) - 1)]
    return bool((~is_negative | (after != _POINT)).any())


def quick_types_of(source: CsvFile) -> dict[str, Any] | None:
    """Return the types that hold all cells, if pyarrow's own rules give them; else None.

    The types of the first block are tried on all of the file: so each cell was looked at. If the
    columns of a file are short, they are kept, so that it is parsed once.
    """
    arrow = import_optional("pyarrow", "pyarrow")
    look = _look_at(source)
    if look.is_odd or not look.has_pairs:
        return None
    kept = _Kept()
    try:
        first = next(_batches(source, None, kept), None)
        if first is None:
            return None
        types = {field.name: _NAMES.get(str(field.type), "str") for field in first.schema}
        nulls = dict.fromkeys(types, 0)
        for batch in _batches(source, types, kept):
            kept.add(batch)
            for name, column in zip(batch.schema.names, batch.columns):
                nulls[name] += column.null_count
    except (CorruptError, arrow.ArrowException):  # a later cell is of another type
        source.failure = None
        return None
    found: dict[str, Any] = {}
    for name, kind in types.items():
        found[name] = kind
        if nulls[name]:
            found[name] = f"{kind}?"
    source.kept = kept.batches
    return found


class _Kept:
    """Batches that are kept in memory, if they are not too many.

    Attributes:
        batches: all of them; None if they are too many, or a row was left out.
    """

    def __init__(self) -> None:
        self.batches: list[Any] | None = []
        self._size = 0

    def add(self, batch: Any) -> None:
        """Keep a batch."""
        self._size += batch.nbytes
        if self._size > _MOST_KEPT:
            self.batches = None
        if self.batches is not None:
            self.batches.append(batch)

    def leave_out(self, row: Any) -> str:
        """Leave out a row that has too many or too few cells; so pyarrow calls it."""
        self.batches = None
        return "skip"


def types_of(source: CsvFile) -> dict[str, Any] | None:
    """Return the types that hold all cells of a file; None if a quote may not be closed."""
    if not _look_at(source).has_pairs:
        return None
    columns = [_Column(source.null) for _ in source.names]
    texts = dict.fromkeys(source.names, "str")
    for batch in _batches(source, texts, _Kept(), is_text=True):
        for column, cells in zip(columns, batch.columns):
            column.learn(cells)
    types: dict[str, Any] = {}
    for name, column in zip(source.names, columns):
        types[name] = column.type()
    return types


class _Column:
    """What is known of the cells of a column."""

    def __init__(self, null: str) -> None:
        self._null = null
        self._possible = list(_TYPES)
        self._has_null = False
        self._has_value = False

    def learn(self, cells: Any) -> None:
        compute = import_optional("pyarrow.compute", "pyarrow")
        if not self._has_null or self._possible:
            is_null = compute.equal(cells, self._null)
            nulls = compute.sum(is_null).as_py() or 0
            if nulls:
                self._has_null = True
                cells = cells.filter(compute.invert(is_null))
        if not len(cells):
            return
        self._has_value = True
        self._possible = [name for name in self._possible if _fits(cells, name)]

    def type(self) -> str:
        return type_of(
            self._possible,
            self._has_value,
            self._has_null,
            self._null,
        )


def _fits(cells: Any, name: str) -> bool:
    """Return whether cells (strings of Arrow, none of them null) are all of a type."""
    arrow = import_optional("pyarrow", "pyarrow")
    compute = import_optional("pyarrow.compute", "pyarrow")
    if name == "int64":
        try:
            back = cells.cast(arrow.int64()).cast(arrow.string())
        except arrow.ArrowInvalid:
            return False
        return bool(back.equals(cells))
    pattern = FLOAT
    if name == "bool":
        pattern = _BOOL
    matches = compute.match_substring_regex(cells, f"^({pattern})$")
    return bool(compute.all(matches).as_py())


def table_of(source: CsvFile, schema: Mapping[str, Any]) -> Any:
    """Return the columns of a schema, as a stream of Arrow or as arrays.

    Returns:
        None if a type is not a simple one.
    """
    for kind in schema.values():
        if not isinstance(kind, str) or kind.removesuffix("?") not in _SIMPLE:
            return None
    arrow = import_optional("pyarrow", "pyarrow")
    types = {name: kind.removesuffix("?") for name, kind in schema.items()}
    stated = arrow.schema([(name, _arrow_type(kind)) for name, kind in types.items()])
    kept = source.kept
    source.kept = None
    if not kept or not _has_types(kept[0], stated):
        batches = _batches(source, types, None)
    elif _are_short_numbers(kept, stated):
        return _arrays(kept, stated.names)
    else:
        batches = _emptied(kept, stated.names)
    return arrow.RecordBatchReader.from_batches(stated, batches)


def _has_types(batch: Any, stated: Any) -> bool:
    """Return whether the columns of a batch are of the types that are stated."""
    return all(batch.schema.field(field.name).type == field.type for field in stated)


def _are_short_numbers(batches: list[Any], stated: Any) -> bool:
    """Return whether all columns are numbers without nulls, of which there can be a copy."""
    types = import_optional("pyarrow.types", "pyarrow")
    if sum(batch.nbytes for batch in batches) > _MOST_KEPT // 2:
        return False
    for field in stated:
        if not types.is_integer(field.type) and not types.is_floating(field.type):
            return False
        if any(batch.column(field.name).null_count for batch in batches):
            return False
    return True


def _arrays(batches: list[Any], names: list[str]) -> dict[str, np.ndarray]:
    """Return columns of numbers as arrays, which take less time than batches."""
    found = {}
    for name in names:
        parts = [batch.column(name).to_numpy() for batch in batches]
        found[name] = np.concatenate(parts)
    return found


def _emptied(batches: list[Any], names: list[str]) -> Iterator[Any]:
    """Return columns of batches, which are let go of one by one."""
    batches.reverse()
    while batches:
        yield batches.pop().select(names)


def _arrow_type(kind: str) -> Any:
    arrow = import_optional("pyarrow", "pyarrow")
    if kind == "str":
        return arrow.string()
    return arrow.type_for_alias(kind)


def _batches(
    source: CsvFile,
    types: Mapping[str, str] | None,
    kept: _Kept | None,
    is_text: bool = False,
) -> Iterator[Any]:
    """Return the rows of a file, some at a time.

    Args:
        source: the file.
        types: of the columns that are read; None: those of the first block.
        kept: is told of rows that have too many or too few cells, which are left out; None: they
            are an error.
        is_text: whether null is a string like others.
    """
    arrow = import_optional("pyarrow", "pyarrow")
    csv = import_optional("pyarrow.csv", "pyarrow")
    stated = {name: _arrow_type(kind) for name, kind in (types or {}).items()}
    true_values = list(_TRUE)
    false_values = list(_FALSE)
    if types is not None and kept is None:
        true_values.append("1")
        false_values.append("0")
    convert = csv.ConvertOptions(
        column_types=stated,
        include_columns=list(stated or source.names),
        null_values=[source.null],
        strings_can_be_null=bool(source.null) and not is_text,
        true_values=true_values,
        false_values=false_values,
        check_utf8=True,
    )
    parse = csv.ParseOptions(
        delimiter=source.separator,
        newlines_in_values=True,
        invalid_row_handler=None if kept is None else kept.leave_out,
    )
    read = csv.ReadOptions(
        block_size=_FIRST_BLOCK if types is None else _BLOCK,
        use_threads=False,  # then errors say in which row
        column_names=source.names,
        skip_rows=1,
    )
    try:
        # Not a file of Python's, which pyarrow may go on reading when it is closed.
        with arrow.OSFile(source.path) as file:
            yield from csv.open_csv(file, read, parse, convert)
    except (arrow.ArrowException, OSError) as error:
        source.failure = unreadable(source.path, error)
        raise source.failure from None
