"""The grammar of conditions such as `label == 3 and score > 0.5`: from a text to a tree.

A text is read by this parser alone; nothing of it is ever run. The grammar:

    condition  = both ("or" both)*
    both       = negated ("and" negated)*
    negated    = "not" negated | "(" condition ")" | comparison
    comparison = operand (("==" | "!=" | "<" | "<=" | ">" | ">=") operand)*
               | operand ["not"] "in" (operand | "(" literal ("," literal)* [","] ")")
               | operand "is" ["not"] ("None" | "nan")
    operand    = field | "len" "(" field ")" | literal
    field      = a name, or any name (a position, where fields have none) between backquotes
    literal    = ["-"] number | string | "True" | "False" | "None"

Brackets may be round or square around a list of literals. Knows no fields and no records.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from dsrecords.errors import SchemaError

_LONGEST = 10_000  # characters of a condition
_DEEPEST = 50  # brackets and `not` within each other
_LONGEST_NUMBER = 400  # characters: Python itself refuses to read integers of some thousand

_TOKEN = re.compile(
    r"""
    (?P<number> (\d[\d_]*)?\.?\d[\d_]*\.?([eE][+-]?\d+)? )
    | (?P<name> [^\W\d]\w* )
    | (?P<quoted> `[^`]*` )
    | (?P<string> '([^'\\]|\\.)*' | "([^"\\]|\\.)*" )
    | (?P<symbol> == | != | <= | >= | <> | && | \|\| | [-<>=!&|()\[\],] )
    """,
    re.VERBOSE | re.DOTALL,
)
_WORDS = ("and", "or", "not", "in", "is")
_CONSTANTS = {
    "True": True,
    "true": True,
    "False": False,
    "false": False,
    "None": None,
    "null": None,
}
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_INSTEAD = {
    "=": "==",
    "<>": "!=",
    "&": "and",
    "&&": "and",
    "|": "or",
    "||": "or",
    "!": "not",
}
_ESCAPES = {
    "\\": "\\",
    "'": "'",
    '"': '"',
    "n": "\n",
    "t": "\t",
}
_CLOSING = {"(": ")", "[": "]"}


class FieldName(NamedTuple):
    """A field, and the column of the text where it is named."""

    name: str
    column: int


class Length(NamedTuple):
    """How long the values of a field are."""

    name: str
    column: int


class Literal(NamedTuple):
    """A value that the text states."""

    value: Any
    column: int


class Literals(NamedTuple):
    """Several values, in brackets."""

    items: tuple[Literal, ...]
    column: int


Operand = FieldName | Length | Literal | Literals


class Comparison(NamedTuple):
    """`left < right`, or `left in right`, whose operator is "in"."""

    operator: str
    left: Operand
    right: Operand
    column: int


class IsMissing(NamedTuple):
    """`field is None`."""

    operand: Operand


class IsNan(NamedTuple):
    """`field is nan`."""

    operand: Operand


class IsTrue(NamedTuple):
    """A field alone, which must be of bools."""

    operand: Operand


class Not(NamedTuple):
    """The contrary of a condition."""

    item: Condition


class Both(NamedTuple):
    """All of several conditions."""

    items: tuple[Condition, ...]


class Either(NamedTuple):
    """One or more of several conditions."""

    items: tuple[Condition, ...]


Condition = Comparison | IsMissing | IsNan | IsTrue | Not | Both | Either


def wrong(message: str, column: int) -> SchemaError:
    """The error of a condition, which says where it is; columns are counted from 1."""
    return SchemaError(f"the condition, column {column}: {message}")


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        SchemaError: it is none; names the column.
    """
    if len(text) > _LONGEST:
        raise SchemaError(f"a condition has at most {_LONGEST} characters, not {len(text)}")
    return _Parser(_tokens(text), len(text) + 1).parsed()


class _Token(NamedTuple):
    """A word of the text.

    Attributes:
        kind: "number", "name", "quoted", "string" or "symbol"; "end" behind the last.
        text: as it is written.
        column: of its first character, counted from 1.
    """

    kind: str
    text: str
    column: int

    def shown(self) -> str:
        """Return the token as messages show it."""
        if self.kind == "end":
            return "the end"
        if len(self.text) > 40:
            return repr(self.text[:40] + "…")
        return repr(self.text)


def _tokens(text: str) -> list[_Token]:
    found = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            raise _no_token(text, at)
        kind = match.lastgroup
        assert kind is not None
        found.append(_Token(kind, match[0], at + 1))
        at = match.end()
    return found


def _no_token(text: str, at: int) -> SchemaError:
    character = text[at]
    if character in "'\"":
        return wrong("the string has no end", at + 1)
    if character == "`":
        return wrong("the name has no closing backquote", at + 1)
    return wrong(f"{character!r} means nothing here", at + 1)


class _Parser:
    """Reads tokens from the left to the right.

    Args:
        tokens: of the text.
        end: the column behind it.
    """

    def __init__(self, tokens: Sequence[_Token], end: int) -> None:
        self._tokens = tokens
        self._end = _Token("end", "", end)
        self._at = 0
        self._depth = 0

    def parsed(self) -> Condition:
        """Return the condition that all tokens are."""
        if not self._tokens:
            raise wrong("a comparison is expected, such as label == 3", 1)
        found = self._condition()
        rest = self._next
        if rest.kind != "end":
            instead = _INSTEAD.get(rest.text)
            if instead is not None:
                raise wrong(f"write {instead} in the place of {rest.text}", rest.column)
            raise wrong(f"'and' or 'or' is expected, not {rest.shown()}", rest.column)
        return found

    # Tokens

    @property
    def _next(self) -> _Token:
        if self._at < len(self._tokens):
            return self._tokens[self._at]
        return self._end

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _comes(self, *texts: str) -> bool:
        token = self._next
        return token.kind in ("name", "symbol") and token.text in texts

    def _took(self, text: str) -> bool:
        if not self._comes(text):
            return False
        self._at += 1
        return True

    def _expect(self, text: str) -> None:
        token = self._next
        if not self._took(text):
            raise wrong(f"{text!r} is expected, not {token.shown()}", token.column)

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise wrong(f"more than {_DEEPEST} levels", self._next.column)

    # Conditions

    def _condition(self) -> Condition:
        items = [self._both()]
        while self._took("or"):
            items.append(self._both())
        if len(items) == 1:
            return items[0]
        return Either(tuple(items))

    def _both(self) -> Condition:
        items = [self._negated()]
        while self._took("and"):
            items.append(self._negated())
        if len(items) == 1:
            return items[0]
        return Both(tuple(items))

    def _negated(self) -> Condition:
        if self._took("not"):
            self._descend()
            item = self._negated()
            self._depth -= 1
            return Not(item)
        if self._took("("):
            self._descend()
            inner = self._condition()
            self._expect(")")
            self._depth -= 1
            return inner
        return self._comparison()

    def _comparison(self) -> Condition:
        left = self._operand()
        operator = self._next
        if self._took("is"):
            return self._is(left)
        is_negated = self._took("not")
        if self._took("in"):
            found = Comparison("in", left, self._container(), operator.column)
            if is_negated:
                return Not(found)
            return found
        if is_negated:
            raise wrong("'in' is expected behind 'not'", self._next.column)
        return self._chain(left)

    def _chain(self, left: Operand) -> Condition:
        """Read `< 5`, or both of `< label < 5`."""
        items: list[Condition] = []
        while self._comes(*_COMPARISONS):
            operator = self._take()
            right = self._operand()
            items.append(Comparison(operator.text, left, right, operator.column))
            left = right
        if not items:
            return IsTrue(left)
        if len(items) == 1:
            return items[0]
        return Both(tuple(items))

    def _is(self, left: Operand) -> Condition:
        is_negated = self._took("not")
        what = self._take()
        found: Condition
        if what.text in ("None", "null"):
            found = IsMissing(left)
        elif what.text == "nan":
            found = IsNan(left)
        else:
            raise wrong(f"'is' is for None and nan, not {what.shown()}", what.column)
        if is_negated:
            return Not(found)
        return found

    # Operands

    def _container(self) -> Operand:
        """Read what stands behind `in`."""
        opening = self._next
        if not self._comes("(", "["):
            return self._operand()
        self._take()
        closing = _CLOSING[opening.text]
        items = []
        while not self._comes(closing):
            items.append(self._literal())
            if not self._took(","):
                break
        self._expect(closing)
        if not items:
            raise wrong("the list has no values", opening.column)
        return Literals(tuple(items), opening.column)

    def _literal(self) -> Literal:
        operand = self._operand()
        if not isinstance(operand, Literal):
            raise wrong("a list has numbers and strings, not fields", operand.column)
        return operand

    def _operand(self) -> FieldName | Length | Literal:
        token = self._take()
        if token.kind == "quoted":
            return FieldName(token.text[1:-1], token.column)
        if token.kind == "string":
            return Literal(_string(token), token.column)
        if token.kind == "number":
            return Literal(_number(token), token.column)
        if token.text == "-" and self._next.kind == "number":
            return Literal(-_number(self._take()), token.column)
        if token.kind == "name" and token.text not in _WORDS:
            return self._named(token)
        raise _no_operand(token)

    def _named(self, token: _Token) -> FieldName | Length | Literal:
        if token.text in _CONSTANTS:
            return Literal(_CONSTANTS[token.text], token.column)
        if not self._comes("("):
            return FieldName(token.text, token.column)
        if token.text != "len":
            raise wrong(f"len is the only function, not {token.shown()}", token.column)
        self._take()
        field = self._operand()
        if not isinstance(field, FieldName):
            raise wrong("len takes the name of a field", field.column)
        self._expect(")")
        return Length(field.name, token.column)


def _no_operand(token: _Token) -> SchemaError:
    instead = _INSTEAD.get(token.text)
    if instead is not None:
        return wrong(f"write {instead} in the place of {token.text}", token.column)
    return wrong(f"a field or a value is expected, not {token.shown()}", token.column)


def _number(token: _Token) -> int | float:
    text = token.text.replace("_", "")
    if len(text) > _LONGEST_NUMBER:
        raise wrong(f"a number has at most {_LONGEST_NUMBER} digits", token.column)
    try:
        if text.isdecimal():
            return int(text)
        return float(text)
    except ValueError:
        raise wrong(f"{token.shown()} is no number", token.column) from None


def _string(token: _Token) -> str:
    inner = token.text[1:-1]

    def unescaped(match: re.Match[str]) -> str:
        character = match[1]
        if character not in _ESCAPES:
            column = token.column + 1 + match.start()
            raise wrong(rf"strings have \\, \', \", \n and \t, not \{character}", column)
        return _ESCAPES[character]

    return re.sub(r"\\(.)", unescaped, inner, flags=re.DOTALL)
