"""The rules that stand once: padding, mixes, the layout of a head."""

import ast

import numpy as np
import pytest

from dsrecords._format import layout
from dsrecords._schema.resolve import make_schema


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 2**40 + 1])
def test_a_padded_size_is_the_next_multiple_of_8(size):
    padded = layout.padded_size(size)
    assert padded % 8 == 0 and 0 <= padded - size < 8
    assert len(layout.padding(size)) == padded - size


def test_padded_sizes_agree_with_padded_size_and_none_takes_nothing():
    sizes = np.array([0, 1, 8, 13, layout.NONE], np.uint64)
    assert layout.padded_sizes(sizes).tolist() == [0, 8, 8, 16, 0]


def test_a_size_near_the_largest_does_not_wrap_to_a_small_one():
    assert layout.padded_sizes(np.array([2**64 - 2], np.uint64))[0] >= 2**64 - 8


def test_mixes_of_many_agree_with_those_of_one():
    numbers = [0, 1, 2**20, 2**33 + 8, 2**40]
    many = np.array(numbers, np.uint64)
    assert layout.position_mixes(many).tolist() == [layout.position_mix(n) for n in numbers]
    assert layout.offset_mixes(many).tolist() == [layout.offset_mix(n) for n in numbers]


@pytest.mark.parametrize("payloads", [0, 1, 3])
def test_the_dtype_of_a_head_is_made_without_parsing(payloads, monkeypatch):
    # In several threads at once Python 3.11's parser may raise SystemError.
    def refuse(text):
        raise AssertionError(f"{text} was parsed")

    schema = make_schema({"n": "int64", **{f"text{i}": "str" for i in range(payloads)}})
    monkeypatch.setattr(ast, "literal_eval", refuse)
    dtype = layout.HeadLayout(payloads, [schema.fields[0].type], [np.dtype("<i8")]).dtype
    assert dtype["sizes"].shape == (payloads,) and dtype["checksums"].base == np.uint32
