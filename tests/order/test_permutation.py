"""`Permutation`: a sequence of integers that is a formula."""

import copy
import pickle

import numpy as np
import pytest

import dsrecords
from dsrecords import Permutation
from dsrecords._order.permutation import derived_seed

SIZES = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    15,
    16,
    17,
    63,
    64,
    65,
    1000,
    4095,
    4097,
    65535,
    65537,
    70_001,
]
HUGE = 10**12


@pytest.mark.parametrize("n", SIZES)
def test_each_number_comes_once(n: int) -> None:
    values = Permutation(n, 3).array()
    assert values.dtype == np.int64
    assert np.array_equal(np.sort(values), np.arange(n))


@pytest.mark.parametrize("n", [*SIZES, 10**9, HUGE, 2**52, 2**53])
def test_one_value_at_a_time_is_as_in_a_block_and_found_again(n: int) -> None:
    permutation = Permutation(n, 2**63 + 5)
    middle = n // 2
    block = permutation.block(middle, middle + 50)
    assert len(block) == min(50, n - middle)
    for i, value in enumerate(block.tolist(), middle):
        assert permutation[i] == value
        assert permutation[i - n] == value
        assert value in permutation
        assert permutation.index(value) == i
    for outside in (-1, n, 2**70):
        assert outside not in permutation


@pytest.mark.parametrize("n", [1, 10, 100_000])
def test_it_is_as_a_list(n: int) -> None:
    permutation = Permutation(n, 1)
    expected = permutation.array().tolist()
    assert list(permutation) == expected
    assert list(reversed(permutation)) == expected[::-1]
    assert np.concatenate(list(permutation.blocks(7 + n // 5))).tolist() == expected
    assert np.asarray(permutation).tolist() == expected
    assert np.asarray(permutation, np.float32).dtype == np.float32
    indices = np.random.default_rng(0).integers(-n, n, 1000)
    assert permutation.array(indices).tolist() == [expected[i] for i in indices]
    assert permutation.array([]).tolist() == []
    assert permutation.array(np.array([0], np.uint8)).tolist() == expected[:1]
    assert permutation.count(0) == 1
    assert permutation.count(n) == 0


SLICES = [
    slice(3, 40),
    slice(None, None, -1),
    slice(90, 2, -7),
    slice(5, 5),
    slice(-10, None, 3),
    slice(2, -2),
    slice(200, 300),
]


@pytest.mark.parametrize("first", SLICES, ids=str)
@pytest.mark.parametrize("second", SLICES, ids=str)
def test_a_slice_of_a_slice_stays_a_formula(first: slice, second: slice) -> None:
    permutation = Permutation(101, 9)
    expected = permutation.array().tolist()[first][second]
    part = permutation[first][second]
    assert isinstance(part, Permutation)
    assert len(part) == len(expected)
    assert list(part) == expected
    assert [part[i] for i in range(len(part))] == expected
    assert part.array().tolist() == expected
    assert part.block(1, 4).tolist() == expected[1:4]
    assert part.array([-1] * bool(expected)).tolist() == expected[-1:]
    assert [part.index(value) for value in expected] == list(range(len(expected)))
    assert [value in part for value in range(101)] == [value in expected for value in range(101)]
    assert eval(repr(part), {"Permutation": Permutation}) == part  # noqa: S307
    restored = pickle.loads(pickle.dumps(part))
    assert restored == part
    assert list(restored) == expected


def test_ten_to_the_twelve_takes_no_memory() -> None:
    permutation = Permutation(HUGE, 7)
    assert len(permutation) == HUGE
    assert len(pickle.dumps(permutation[5:-5:3])) < 200
    assert len(permutation[::2]) == HUGE // 2
    assert next(iter(permutation)) == permutation[0]
    assert permutation[-1] == permutation[HUGE - 1]
    assert permutation[HUGE // 3 :][10] == permutation[HUGE // 3 + 10]


def test_equal_ones_are_equal_and_hash_alike() -> None:
    permutation = Permutation(10, 1)
    assert permutation == Permutation(np.int64(10), np.uint8(1))
    assert hash(permutation) == hash(Permutation(10, 1))
    assert permutation[:] == permutation
    assert hash(permutation[2:][1:]) == hash(permutation[3:])
    assert permutation != Permutation(10, 2)
    assert permutation != Permutation(11, 1)
    assert permutation != permutation[1:]
    assert permutation != list(permutation)
    assert copy.deepcopy(permutation[1:]) == permutation[1:]


def test_another_seed_or_size_is_another_order() -> None:
    orders = [
        Permutation(1000 + n, seed).array()[:1000] for n in (0, 1) for seed in (0, 1, 2**32, 2**63)
    ]
    for i, order in enumerate(orders):
        for other in orders[:i]:
            assert (order == other).sum() < 10


def test_a_derived_seed_depends_on_both_numbers() -> None:
    seeds = {derived_seed(seed, number) for seed in range(50) for number in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert max(seeds) > 2**63


@pytest.mark.parametrize(
    ("n", "seed", "error", "message"),
    [
        (-1, 0, ValueError, "n is 0 to 9007199254740992, not -1"),
        (2**53 + 1, 0, ValueError, "n is 0 to"),
        (3, -1, ValueError, "seed is 0 to 18446744073709551615, not -1"),
        (3, 2**64, ValueError, "seed is 0 to"),
        (3.0, 0, TypeError, "n is an integer, not float"),
        (3, None, TypeError, "seed is an integer, not NoneType"),
    ],
)
def test_what_is_no_size_or_seed_is_refused(n, seed, error, message) -> None:
    with pytest.raises(error, match=message):
        Permutation(n, seed)


def test_what_is_no_index_is_refused() -> None:
    permutation = Permutation(10, 0)[2:5]
    with pytest.raises(IndexError, match="index 3 is out of range: 3 values"):
        permutation[3]
    with pytest.raises(IndexError, match="index -4 is out of range: 3 values"):
        permutation.array([0, -4])
    with pytest.raises(TypeError, match="call array"):
        permutation[[1, 2]]
    with pytest.raises(TypeError, match="not float64 with shape"):
        permutation.array([0.5])
    with pytest.raises(ValueError, match="10 is not in it"):
        permutation.index(10)
    assert "a" not in permutation
    with pytest.raises(ValueError, match="uncopied"):
        np.asarray(permutation, copy=False)


def test_it_is_public() -> None:
    assert dsrecords.Permutation is Permutation
    assert "Permutation" in dsrecords.__all__
