"""The order is what docs/order-permutation.md says: in Python, NumPy, JavaScript and a program written from the page."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import permutation_by_hand
import pytest

from dsrecords import Permutation
from dsrecords._order.permutation import derived_seed

ROOT = Path(__file__).parents[2]
VECTORS = json.loads(permutation_by_hand.VECTORS.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "vector", VECTORS["permutations"], ids=lambda vector: f"{vector['n']}-{vector['seed']}"
)
def test_the_values_are_those_of_the_test_vectors(vector):
    permutation = Permutation(vector["n"], int(vector["seed"]))
    assert [permutation[i] for i in vector["positions"]] == vector["values"]
    assert permutation.array(vector["positions"]).tolist() == vector["values"]
    assert [permutation.index(value) for value in vector["values"]] == vector["positions"]


def test_derived_seeds_are_those_of_the_test_vectors():
    for vector in VECTORS["derived_seeds"]:
        derived = derived_seed(int(vector["seed"]), int(vector["number"]))
        assert str(derived) == vector["derived"]


def test_a_program_written_from_the_page_gives_the_same():
    assert permutation_by_hand.make_vectors() == VECTORS
    generator = np.random.default_rng(0)
    for _ in range(100):
        n = int(2 ** generator.uniform(0, 53))
        seed = int(generator.integers(0, 2**64, dtype=np.uint64))
        position = int(generator.integers(n))
        assert Permutation(n, seed)[position] == permutation_by_hand.value_at(n, seed, position)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
def test_javascript_gives_the_same():
    test = ROOT / "js" / "test" / "permutation.test.js"
    environment = {**os.environ, "DSRECORDS_VECTORS": str(permutation_by_hand.VECTORS)}
    done = subprocess.run(
        ["node", "--test", test], capture_output=True, text=True, timeout=600, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^(#|ℹ) pass [1-9]", done.stdout, re.MULTILINE)
