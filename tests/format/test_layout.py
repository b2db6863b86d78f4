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
    assert layout.row_mixes(many).tolist() == [layout.row_mix(n) for n in numbers]
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


@pytest.mark.parametrize("kind", [1, 5, 127, 128, 255])
@pytest.mark.parametrize("size", [16, 4096, layout.LARGEST_FRAME])
def test_a_word_says_the_kind_and_the_size_of_a_frame(kind, size):
    word = layout.frame_word(kind, size)
    assert (layout.kind_of_word(word), layout.size_of_word(word)) == (kind, size)
    words = np.array([word], np.uint64)
    assert layout.sizes_of_words(words).tolist() == [size]
    assert layout.tags_of_words(words).tolist() == [layout.frame_tag(kind)]


@pytest.mark.parametrize("word", [0, 16, 2**64 - 1, 0xD4 << 56 | 1 << 48 | 16, 50_000])
def test_a_word_without_the_constant_byte_is_that_of_no_frame(word):
    assert layout.kind_of_word(word) == 0


@pytest.mark.parametrize(
    ("schema", "size"),
    [
        ({"n": "int64"}, 16),  # the head is all that there is of a record
        ({"text": "str"}, 8 + 32),
        ({"text": "str", "n": "int32"}, 8 + 32),
        ({"text": "str", "n": "int64"}, 8 + 40),
        ({"text": "str"} | {f"n{i}": "int64" for i in range(28)}, 8 + 256),
        ({"text": "str"} | {f"n{i}": "int64" for i in range(29)}, 16),  # wider than a row may be
    ],
)
def test_rows_have_heads_where_there_are_payloads_and_heads_are_not_wide(schema, size):
    assert make_schema(schema).layout.row_size == size


def test_the_dtype_of_a_row_is_that_of_a_head_behind_an_offset():
    of = make_schema({"text": "str", "n": "int32?", "blob": "bytes?"}).layout
    assert of.row_dtype.itemsize == of.long_row_size == of.dtype.itemsize + 8
    assert of.row_dtype.fields["offset"][1] == 0
    for name, (dtype, offset, *_) in of.dtype.fields.items():
        assert of.row_dtype.fields[name][:2] == (dtype, offset + 8)


def test_a_row_with_a_head_is_unpacked_as_the_head_behind_its_offset():
    of = make_schema({"text": "str", "n": "int32?", "blob": "bytes?"}).layout
    head = bytes(range(of.size))
    assert of.unpack_row((77).to_bytes(8, "little") + head) == (77, *of.unpack(head))
