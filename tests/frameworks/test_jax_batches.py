"""Batches in JAX: what becomes of the stored dtypes, and whether arrays are kept apart."""

import numpy as np
import pytest
from conftest import large

import dsrecords

jax = large("jax")

pytestmark = pytest.mark.large


def test_batches_are_arrays_of_jax_with_their_dtypes(path):
    bfloat16 = jax.numpy.bfloat16
    columns = {"x": np.ones((8, 3), np.float32), "h": np.ones((8, 2), bfloat16)}
    dsrecords.make_dataset({**columns, "label": np.arange(8, dtype=np.int32)}, path)
    ds = dsrecords.open(path)
    batch = jax.device_put(ds.batch([5, 2]))
    assert {name: str(column.dtype) for name, column in batch.items()} == {
        "x": "float32",
        "h": "bfloat16",
        "label": "int32",
    }
    assert batch["label"].tolist() == [5, 2]
    total = jax.jit(lambda batch: batch["x"].sum() + batch["label"].sum())(batch)
    assert float(total) == 6 + 7


def test_integers_of_64_bits_become_those_of_32_unless_jax_is_told(path):
    dsrecords.make_dataset({"label": np.array([1, 2])}, path)
    ds = dsrecords.open(path)
    assert jax.device_put(ds.batch([0])["label"]).dtype == np.int32
    with jax.enable_x64(True):
        assert jax.device_put(ds.batch([0])["label"]).dtype == np.int64
