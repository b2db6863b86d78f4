"""Orders are as even as chance makes them: chi-squares, each of which fails for too few rounds.

The long form, beside NumPy's permutations, is benchmarks/permutation.py. Seeds are 0, 1, 2, …: the same in each run.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from dsrecords import Permutation
from dsrecords._order import feistel

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "permutation.py"
STRAYS = 4  # standard deviations from 1 that are still chance: 1 of 16,000 is further away


def _script():
    spec = importlib.util.spec_from_file_location("benchmark_of_permutations", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


quality = _script()


def strays(chi_square, freedom):
    """How many standard deviations a chi-square is from what is expected."""
    return abs(chi_square - 1) / quality.deviation(freedom)


@pytest.mark.parametrize("n", [1, 2, 5, 33, 65])
def test_many_seeds_together_give_the_same_as_one_at_a_time(n):
    expected = [list(Permutation(n, seed)) for seed in range(20)]
    assert quality.ours(n, 20).tolist() == expected


@pytest.mark.parametrize("n", quality.SMALL)
def test_all_orders_of_few_come_equally_often(n):
    assert strays(*quality.orders(quality.ours(n, 72_000))) < STRAYS


@pytest.mark.parametrize("n", [7, 10, 33])
def test_positions_neighbours_and_gaps_come_equally_often(n):
    found = quality.parts(quality.ours(n, 200_000 // n))
    for name, (chi_square, freedom) in found.items():
        assert strays(chi_square, freedom) < STRAYS, name


@pytest.mark.parametrize("n", [65_536, 65_537, 10**6, 10**12])
@pytest.mark.parametrize("seed", [0, 2**63])
def test_a_large_order_is_even_and_unlike_that_of_the_next_seed(n, seed):
    found = quality.large(n, seed, 2**17)
    for name, (chi_square, freedom) in found.items():
        assert strays(chi_square, freedom) < STRAYS, name


def test_the_measures_notice_too_few_rounds(monkeypatch):
    monkeypatch.setattr(feistel, "_SMALL_ROUNDS", 12)
    monkeypatch.setattr(feistel, "_ROUNDS", 2)
    assert strays(*quality.orders(quality.ours(6, 72_000))) > 2 * STRAYS
    monkeypatch.setattr(feistel, "_SMALL_ROUNDS", 4)
    for chi_square, freedom in quality.parts(quality.ours(10, 20_000)).values():
        assert strays(chi_square, freedom) > 2 * STRAYS
    assert strays(*quality.large(10**6, 0, 2**17)["gaps"]) > 2 * STRAYS


def test_the_measures_notice_an_order_that_is_none():
    turned = np.add.outer(np.arange(1000), np.arange(10)) % 10
    found = quality.parts(turned)
    assert found["positions"][0] < 2
    assert found["neighbours"][0] > 10
    assert found["gaps"][0] > 10


def test_half_of_a_shuffle_has_as_many_of_each_class_as_chance_gives():
    is_first_class = Permutation(100_000, 5).array() % 2 == 0
    count = int(is_first_class[:50_000].sum())
    # The count is hypergeometric: its standard deviation is half of the root of 25,000.
    assert abs(count - 25_000) < STRAYS * 79
