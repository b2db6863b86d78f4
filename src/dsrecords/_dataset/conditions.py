"""Conditions on the fields of a dataset, evaluated on columns by NumPy.

A comparison with a value that is None is neither true nor false, as in SQL: `not` of it is neither,
`or` is true if the other side is, and a record is kept where a condition is true. So each result is
a pair of masks: where it is true, and where it is false.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._dataset.blocks import BLOCK, Block, blocks
from dsrecords._dataset.condition_grammar import (
    Both,
    Comparison,
    Condition,
    Either,
    FieldName,
    IsMissing,
    IsNan,
    IsTrue,
    Length,
    Literal,
    Literals,
    Not,
    Operand,
    parse,
    wrong,
)
from dsrecords._dataset.field_values import plain_type
from dsrecords._dataset.lengths import lengths_of
from dsrecords._dataset.reading import PassOver, Reading
from dsrecords._format.layout import NONE
from dsrecords._read.lengths import knows_sizes, payload_sizes
from dsrecords._schema.schema import Field, Key
from dsrecords._types.arrays import ShapedArray
from dsrecords._types.base import Type
from dsrecords._types.binary import Bytes
from dsrecords._types.category import Category
from dsrecords._types.lists import List
from dsrecords._types.scalars import Scalar
from dsrecords._types.strings import Str
from dsrecords._types.times import Time
from dsrecords.errors import SchemaError

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MIRRORED = {
    "==": "==",
    "!=": "!=",
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
}
_EQUALITIES = ("==", "!=")
_FEW = 8  # integers of a list that are compared one by one
_DATE = re.compile(r"[-+]?\d{4}.*", re.DOTALL)  # NumPy would also take "now" and "today"
_DURATION = re.compile(r"([-+]?\d+) ?(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)")


class Truth(NamedTuple):
    """For each record of a block whether a condition is true or false: bool, (n,), never both."""

    true: np.ndarray
    false: np.ndarray


def filter_by_condition(
    reading: Reading,
    text: str,
    pass_over: PassOver,
) -> Reading:
    """Return a view of the records of which a condition is true.

    Args:
        reading: the list.
        text: the condition.
        pass_over: as of `blocks`.

    Raises:
        SchemaError: it is no condition, or does not fit the fields; names the column.
        CorruptError, DecodeError: a record cannot be read.
    """
    now = reading.selected(slice(None))
    condition = parse(text)
    fields = _Fields(now)
    evaluate = _bound(condition, fields)
    kept = [np.zeros(0, np.int64)]
    for block in _blocks(now, fields, pass_over):
        values = _Values(now, fields, block)
        with np.errstate(all="ignore"):  # a literal may be out of a narrow float's range
            truth = evaluate(values)
        kept.append(block.indices[truth.true])
    return now.selected(np.concatenate(kept))


def _blocks(now: Reading, fields: _Fields, pass_over: PassOver) -> Iterator[Block]:
    """Yield the columns that a condition compares; none where lengths and None are enough."""
    if fields.keys:
        plan = now.fields.plan_for(list(fields.keys))
        yield from blocks(now, plan, pass_over, fields.block_size())
        return
    count = now.count()
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        yield Block(np.arange(start, stop), [])


class _Fields:
    """The fields that a condition names.

    Attributes:
        keys: of those whose values are compared, and so must be read.
    """

    def __init__(self, now: Reading) -> None:
        self._now = now
        self.keys: list[Key] = []

    def find(self, operand: FieldName | Length) -> Field:
        """Return a field by the name, or the position, that a condition states."""
        keys = self._now.fields.schema.keys
        key: Any = operand.name
        if not self._now.fields.schema.named and operand.name.isdecimal():
            key = int(operand.name)
        if key in keys:
            return self._now.fields.field(key)
        names = [str(known) for known in keys]
        near = difflib.get_close_matches(operand.name, names, 1)
        hint = f"there are {_listed(names)}"
        if near:
            hint = f"did you mean {near[0]}?"
        raise wrong(f"no field {operand.name!r}: {hint}", operand.column)

    def compare(self, operand: FieldName) -> _Column:
        """Return how the values of a field are compared; they will be read."""
        field = self.find(operand)
        key: Any = operand.name
        if not self._now.fields.schema.named:
            key = int(operand.name)
        (item,) = self._now.fields.plan_for(key).items
        if not item.is_builtin and item.make is not None:
            raise wrong(
                f"{operand.name} is read by a function or a decoding of its own: open the dataset "
                "without it",
                operand.column,
            )
        if key not in self.keys:
            self.keys.append(key)
        return _Column(operand, plain_type(field), self.keys.index(key))

    def knows_sizes(self) -> bool:
        """Return whether the files say which payloads are None."""
        return knows_sizes(self._now.snapshot())

    def has_lengths(self, operand: Length) -> bool:
        """Return whether the index says how long the values of a field are."""
        nothing = self._now.selected(slice(0, 0))
        try:
            lengths_of(nothing, self.find(operand).key)
        except SchemaError:
            return False
        return True

    def block_size(self) -> int:
        """Return how many records are read together; 0 for as many as fit into memory."""
        for key in self.keys:
            kind = plain_type(self._now.fields.field(key))
            if not isinstance(kind, (Scalar, Str)):
                return 0
        return BLOCK


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    if len(names) > 10:
        shown += ", …"
    return shown


class _Column(NamedTuple):
    """A field whose values are compared.

    Attributes:
        operand: where the condition names it.
        type: of its values.
        number: of its column among those that are read.
    """

    operand: FieldName
    type: Type
    number: int


class _Values:
    """What a condition asks for of the records of one block."""

    def __init__(self, now: Reading, fields: _Fields, block: Block) -> None:
        self._now = now
        self._fields = fields
        self._block = block
        self.count = len(block.indices)

    def column(self, column: _Column) -> Any:
        """Return the values of a field: an array, masked where they are None, or a list."""
        found = self._block.columns[column.number]
        if isinstance(found, np.ndarray) and found.dtype.kind == "V":  # bfloat16
            return found.astype(np.float32)
        return found

    def lengths(self, operand: Length) -> np.ndarray:
        """Return how long the values are, from the index: int64, (n,); 0 of None."""
        shown = self._now.selected(self._block.indices)
        key = self._fields.find(operand).key
        return lengths_of(shown, key)

    def missing(self, field: Field) -> np.ndarray:
        """Return which payloads are None, from the index: bool, (n,)."""
        snapshot = self._now.snapshot()
        positions = self._now.positions(self._block.indices, snapshot)
        sizes = payload_sizes(snapshot, positions, field)
        missing: np.ndarray = sizes == np.uint64(NONE)
        return missing


Evaluate = Callable[[_Values], Truth]


def _bound(condition: Condition, fields: _Fields) -> Evaluate:
    """Return what evaluates a condition. Raises SchemaError where it does not fit the fields."""
    if isinstance(condition, Not):
        return _not(_bound(condition.item, fields))
    if isinstance(condition, Both):
        return _both([_bound(item, fields) for item in condition.items])
    if isinstance(condition, Either):
        return _either([_bound(item, fields) for item in condition.items])
    if isinstance(condition, IsMissing):
        return _is_missing(condition.operand, fields)
    if isinstance(condition, IsNan):
        return _is_nan(condition.operand, fields)
    if isinstance(condition, IsTrue):
        return _is_true(condition.operand, fields)
    return _comparison(condition, fields)


# Conditions of conditions


def _not(item: Evaluate) -> Evaluate:
    def evaluate(values: _Values) -> Truth:
        truth = item(values)
        return Truth(truth.false, truth.true)

    return evaluate


def _both(items: Sequence[Evaluate]) -> Evaluate:
    def evaluate(values: _Values) -> Truth:
        true = np.ones(values.count, bool)
        false = np.zeros(values.count, bool)
        for item in items:
            truth = item(values)
            true &= truth.true
            false |= truth.false
        return Truth(true, false)

    return evaluate


def _either(items: Sequence[Evaluate]) -> Evaluate:
    return _not(_both([_not(item) for item in items]))


# Conditions on one field


def _is_missing(operand: Operand, fields: _Fields) -> Evaluate:
    if not isinstance(operand, FieldName):
        raise wrong("only a field can be None", operand.column)
    field = fields.find(operand)
    if isinstance(field.type, Scalar):
        column = fields.compare(operand)

        def evaluate(values: _Values) -> Truth:
            missing = np.ma.getmaskarray(values.column(column))
            return Truth(missing, ~missing)

        return evaluate
    _require_sizes(operand, fields)

    def evaluate_payload(values: _Values) -> Truth:
        missing = values.missing(field)
        return Truth(missing, ~missing)

    return evaluate_payload


def _require_sizes(operand: FieldName, fields: _Fields) -> None:
    if not fields.knows_sizes():
        raise wrong("MDS and dsrecords 0.4 do not say which values are None", operand.column)


def _is_nan(operand: Operand, fields: _Fields) -> Evaluate:
    if not isinstance(operand, FieldName):
        raise wrong("only a field can be nan", operand.column)
    column = fields.compare(operand)
    if not isinstance(column.type, Scalar):
        raise wrong(f"{operand.name} is {column.type.name}, which has no nan", operand.column)

    def evaluate(values: _Values) -> Truth:
        found = values.column(column)
        data = np.ma.getdata(found)
        return _known(data != data, found)

    return evaluate


def _is_true(operand: Operand, fields: _Fields) -> Evaluate:
    if isinstance(operand, Literal) and isinstance(operand.value, bool):
        is_true = operand.value

        def evaluate_constant(values: _Values) -> Truth:
            true = np.full(values.count, is_true)
            return Truth(true, ~true)

        return evaluate_constant
    if not isinstance(operand, FieldName):
        raise wrong("a comparison is expected, such as label == 3", operand.column)
    column = fields.compare(operand)
    if not _is_bool(column.type):
        name = column.type.name
        example = f"{operand.name} == …"
        raise wrong(f"{operand.name} is {name}: compare it, as in {example}", operand.column)

    def evaluate(values: _Values) -> Truth:
        found = values.column(column)
        return _known(np.ma.getdata(found), found)

    return evaluate


def _is_bool(kind: Type) -> bool:
    return isinstance(kind, Scalar) and kind.dtype.kind == "b"


def _known(true: np.ndarray, column: Any) -> Truth:
    """Return what is true and false where the values of a column are not None."""
    if not np.ma.is_masked(column):
        return Truth(true, ~true)
    known = ~np.ma.getmaskarray(column)
    return Truth(true & known, ~true & known)


# Comparisons


def _comparison(condition: Comparison, fields: _Fields) -> Evaluate:
    if condition.operator == "in":
        return _in(condition, fields)
    left = condition.left
    right = condition.right
    symbol = condition.operator
    if isinstance(left, Literal):
        if isinstance(right, Literal):
            raise wrong("one of the two must be a field", condition.column)
        left = condition.right
        right = condition.left
        symbol = _MIRRORED[symbol]
    if isinstance(right, Literal) and right.value is None:
        return _with_none(left, symbol, condition, fields)
    if isinstance(left, Length):
        return _of_length(left, symbol, right, fields)
    assert isinstance(left, FieldName)
    column = fields.compare(left)
    if isinstance(right, Literal):
        return _with_literal(column, symbol, right, condition)
    if not isinstance(right, FieldName):
        raise wrong("len is compared with a number", right.column)
    return _with_field(column, symbol, fields.compare(right), condition)


def _with_none(
    left: Operand,
    symbol: str,
    condition: Comparison,
    fields: _Fields,
) -> Evaluate:
    if symbol not in _EQUALITIES:
        raise wrong(f"None has no order: {symbol} does not fit", condition.column)
    found = _is_missing(left, fields)
    if symbol == "!=":
        return _not(found)
    return found


def _of_length(
    left: Length,
    symbol: str,
    right: Operand,
    fields: _Fields,
) -> Evaluate:
    is_number = isinstance(right, Literal) and isinstance(right.value, (int, float))
    if not is_number:
        raise wrong("len is compared with a number", right.column)
    assert isinstance(right, Literal)
    field = fields.find(left)
    compare = _OPERATORS[symbol]
    limit = right.value
    if isinstance(plain_type(field), Str) or not fields.has_lengths(left):
        return _of_length_of_values(left, compare, limit, fields)
    is_nullable = field.type.nullable

    def evaluate(values: _Values) -> Truth:
        true = compare(values.lengths(left), limit)
        if not is_nullable:
            return Truth(true, ~true)
        known = ~values.missing(field)
        return Truth(true & known, ~true & known)

    return evaluate


def _of_length_of_values(
    left: Length,
    compare: Callable[[Any, Any], Any],
    limit: float,
    fields: _Fields,
) -> Evaluate:
    """Return what compares lengths that the index does not say: strings have characters."""
    column = fields.compare(FieldName(left.name, left.column))
    if not isinstance(column.type, (Str, List, ShapedArray, Bytes)):
        name = column.operand.name
        raise wrong(f"{name} is {column.type.name}, which has no length", left.column)

    def evaluate(values: _Values) -> Truth:
        found = list(values.column(column))
        results = (item is not None and compare(len(item), limit) for item in found)
        return _of_list(found, results)

    return evaluate


def _with_literal(
    column: _Column,
    symbol: str,
    literal: Literal,
    condition: Comparison,
) -> Evaluate:
    _require_order(column, symbol, condition)
    value = _fitting(column, literal)
    compare = _OPERATORS[symbol]

    def evaluate(values: _Values) -> Truth:
        return _compared(values.column(column), compare, value)

    return evaluate


def _compared(column: Any, compare: Callable[[Any, Any], Any], value: Any) -> Truth:
    if not isinstance(column, list):
        return _known(compare(np.ma.getdata(column), value), column)
    results = (item is not None and compare(item, value) for item in column)
    return _of_list(column, results)


def _of_list(column: Sequence[Any], results: Iterable[bool]) -> Truth:
    true = np.fromiter(results, bool, len(column))
    missing = np.fromiter((item is None for item in column), bool, len(column))
    return Truth(true, ~true & ~missing)


def _with_field(
    left: _Column,
    symbol: str,
    right: _Column,
    condition: Comparison,
) -> Evaluate:
    _require_order(left, symbol, condition)
    if _family(left) != _family(right):
        names = f"{left.type.name} and {right.type.name}"
        raise wrong(f"{names} cannot be compared", condition.column)
    compare = _OPERATORS[symbol]

    def evaluate(values: _Values) -> Truth:
        first = values.column(left)
        second = values.column(right)
        if isinstance(first, list):
            pairs = list(zip(first, second))
            both = [None if None in pair else pair for pair in pairs]
            results = (pair is not None and compare(*pair) for pair in both)
            return _of_list(both, results)
        true = compare(np.ma.getdata(first), np.ma.getdata(second))
        known = ~(np.ma.getmaskarray(first) | np.ma.getmaskarray(second))
        return Truth(true & known, ~true & known)

    return evaluate


def _require_order(
    column: _Column,
    symbol: str,
    condition: Comparison,
) -> None:
    if symbol in _EQUALITIES:
        return
    kind = column.type
    is_complex = isinstance(kind, Scalar) and kind.dtype.kind == "c"
    if is_complex or isinstance(kind, Category):
        name = column.operand.name
        raise wrong(f"{name} has no order: use ==, != or in", condition.column)


def _family(column: _Column) -> Any:
    """Return what is equal of types whose values can be compared with each other."""
    kind = column.type
    if isinstance(kind, Category):
        return kind.names
    if isinstance(kind, Time):
        return kind.dtype.kind
    if isinstance(kind, Scalar):
        return "a number"
    if isinstance(kind, Str):
        return "a string"
    raise _not_compared(column)


def _not_compared(column: _Column) -> SchemaError:
    name = column.operand.name
    return wrong(
        f"{name} is {column.type.name}: of such a field there are only `{name} is None` and, "
        f"for lists and arrays, `3 in {name}` and `len({name})`",
        column.operand.column,
    )


# Values that the text states, as those of a field are in a column


def _fitting(column: _Column, literal: Literal) -> Any:
    """Return a literal as it is compared with a column. Raises SchemaError if it does not fit."""
    kind = column.type
    value = literal.value
    if isinstance(kind, Category):
        return _number_of_category(column, kind, literal)
    if isinstance(kind, Time):
        return _time(kind, literal)
    if isinstance(kind, Scalar):
        fits = isinstance(value, (int, float))
        if isinstance(value, bool):
            fits = _is_bool(kind)
        expected = "a number"
    elif isinstance(kind, Str):
        fits = isinstance(value, str)
        expected = "a string"
    else:
        raise _not_compared(column)
    if not fits:
        shown = _shown(value)
        name = column.operand.name
        raise wrong(f"{name} is {kind.name}: {expected} fits, not {shown}", literal.column)
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    if len(text) > 40:
        return f"{text[:40]}…"
    return text


def _number_of_category(
    column: _Column,
    kind: Category,
    literal: Literal,
) -> int:
    value = literal.value
    if isinstance(value, str) and value in kind.names:
        return kind.names.index(value)
    hint = f"there are {_listed(kind.names)}"
    if isinstance(value, str):
        near = difflib.get_close_matches(value, kind.names, 1)
        if near:
            hint = f"did you mean {near[0]!r}?"
    name = column.operand.name
    raise wrong(f"{name} has no category {_shown(value)}: {hint}", literal.column)


def _time(kind: Time, literal: Literal) -> Any:
    value = literal.value
    is_date = kind.dtype.kind == "M"
    example = "'2026-01-31' or '2026-01-31T12:00'" if is_date else "'36h' or '90 s'"
    problem = wrong(f"a string such as {example} fits, not {_shown(value)}", literal.column)
    if not isinstance(value, str):
        raise problem
    try:
        if is_date:
            return _date(value)
        return _duration(value)
    except ValueError:
        raise problem from None


def _date(text: str) -> np.datetime64:
    if _DATE.fullmatch(text) is None:
        raise ValueError(text)
    return np.datetime64(text.removesuffix("Z"))


def _duration(text: str) -> np.timedelta64:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(text)
    unit: Any = match[2]
    return np.timedelta64(int(match[1]), unit)


# Membership


def _in(condition: Comparison, fields: _Fields) -> Evaluate:
    left = condition.left
    right = condition.right
    if isinstance(left, FieldName) and isinstance(right, Literals):
        return _among(left, right, fields)
    if isinstance(left, Literal) and isinstance(right, FieldName):
        return _contains(fields.compare(right), left)
    raise wrong("'in' is for `field in (1, 2)` and `value in field`", condition.column)


def _among(
    left: FieldName,
    right: Literals,
    fields: _Fields,
) -> Evaluate:
    """Return what tells whether the values of a field are among some."""
    items = []
    wanted = []
    column = fields.compare(left)
    for literal in right.items:
        if literal.value is None:
            items.append(_is_missing(left, fields))
        else:
            wanted.append(_fitting(column, literal))
    if wanted:
        items.append(_among_values(column, wanted))
    return _either(items)


def _among_values(column: _Column, wanted: Sequence[Any]) -> Evaluate:
    is_many = len(wanted) > _FEW
    integers = isinstance(column.type, Scalar) and column.type.dtype.kind in "iu"
    if is_many and integers and all(type(value) is int for value in wanted):
        return _among_integers(column, wanted)
    if isinstance(column.type, Str):
        strings = frozenset(wanted)

        def evaluate_strings(values: _Values) -> Truth:
            found = values.column(column)
            return _of_list(found, (item in strings for item in found))

        return evaluate_strings

    def evaluate(values: _Values) -> Truth:
        found = values.column(column)
        data = np.ma.getdata(found)
        true = np.zeros(len(data), bool)
        for value in wanted:
            true |= data == value
        return _known(true, found)

    return evaluate


def _among_integers(column: _Column, wanted: Sequence[int]) -> Evaluate:
    assert isinstance(column.type, Scalar)
    bounds = np.iinfo(column.type.dtype)
    possible = [value for value in wanted if bounds.min <= value <= bounds.max]
    array = np.array(possible, column.type.dtype)

    def evaluate(values: _Values) -> Truth:
        found = values.column(column)
        return _known(np.isin(np.ma.getdata(found), array), found)

    return evaluate


def _contains(column: _Column, literal: Literal) -> Evaluate:
    """Return what tells whether a string has a part, or a list or an array an item."""
    kind = column.type
    name = column.operand.name
    value = literal.value
    if isinstance(kind, Str):
        if not isinstance(value, str):
            raise wrong(f"{name} is {kind.name}: it has parts that are strings", literal.column)
        has = operator.contains
    elif _has_plain_items(kind):
        has = _has
    else:
        message = f"{name} is {kind.name}, which has no numbers or strings as items"
        raise wrong(message, column.operand.column)

    def evaluate(values: _Values) -> Truth:
        found = values.column(column)
        if isinstance(found, np.ndarray):
            found = list(found)
        results = (item is not None and has(item, value) for item in found)
        return _of_list(found, results)

    return evaluate


def _has_plain_items(kind: Type) -> bool:
    if isinstance(kind, List):
        return isinstance(kind.item, (Scalar, Str))
    return isinstance(kind, ShapedArray)


def _has(items: Any, value: Any) -> bool:
    if isinstance(items, np.ndarray):
        return not isinstance(value, str) and bool(np.any(items == value))
    return value in items
