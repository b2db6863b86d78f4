"""Which record is named where the list is made again from a log that is damaged."""

import warnings

import pytest

import dsrecords
from dsrecords import CorruptError

TEXTS = [f"a text with the number {number:04d}" for number in range(12)]


@pytest.fixture
def path(tmp_path):
    """Two batches of six texts each, without their index."""
    path = tmp_path / "texts.rec"
    with dsrecords.IndexedRecordDataset(path, schema={"text": "str"}, create=True) as ds:
        for first in (0, 6):
            ds.extend([{"text": text} for text in TEXTS[first : first + 6]])
    path.with_suffix(".idx").unlink()
    return path


def flip(path, text, distance):
    """Flip a bit so many bytes from where a text begins."""
    data = bytearray(path.read_bytes())
    data[data.index(text.encode()) + distance] ^= 1
    path.write_bytes(data)


def error_of_opening(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(CorruptError) as caught:
            dsrecords.open(path)
    return caught.value


@pytest.mark.parametrize("record", [0, 1, 3, 5, 6, 9, 10])
def test_damaged_head_in_a_batch_is_named_by_its_record(path, record):
    flip(path, TEXTS[record], -4)
    assert error_of_opening(path).record == record


@pytest.mark.parametrize("record", [6, 8, 11])
def test_damaged_payload_in_the_last_batch_is_named_by_its_record(path, record):
    flip(path, TEXTS[record], 3)
    error = error_of_opening(path)
    assert (error.record, error.field) == (record, "text")
