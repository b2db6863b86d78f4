"""`dataset[i]`: what a subclass, a function of the user's, or another thread may do to it."""

import pickle
import threading

import numpy as np
import pytest

import dsrecords
from dsrecords import IndexedRecordDataset

SCHEMA = {"number": "int64", "text": "str"}
LARGEST = 2**200


@pytest.fixture
def path(tmp_path):
    """A dataset of five samples."""
    path = tmp_path / "some.rec"
    samples = [{"number": i, "text": f"text {i}"} for i in range(5)]
    dsrecords.make_dataset(samples, path, SCHEMA)
    return path


def number_of(sample):
    """A transform."""
    return sample["number"]


def tenfold(sample):
    """Another one."""
    return sample["number"] * 10


class Doubling(IndexedRecordDataset):
    """A subclass with a method of its own, which asks that of its base."""

    def __getitem__(self, key):
        return super().__getitem__(key)["number"] * 2


class WithProperty(IndexedRecordDataset):
    """A subclass that keeps its transform where it wants to."""

    @property
    def transform(self):
        return vars(self)["own"]

    @transform.setter
    def transform(self, value):
        vars(self)["own"] = value


class WithMethod(IndexedRecordDataset):
    """A subclass whose class has what each of its objects gets."""

    def transform(self, sample):
        raise AssertionError("an object's own transform stands before it")


def test_a_subclass_may_read_in_its_own_way(path):
    dataset = Doubling(path)
    assert [dataset[i] for i in range(5)] == [0, 2, 4, 6, 8]


def test_a_transform_can_be_set_at_any_time(path):
    dataset = dsrecords.open(path)
    assert dataset[3] == {"number": 3, "text": "text 3"}
    dataset.transform = number_of
    assert dataset[3] == 3
    dataset.transform = None
    assert dataset[3] == {"number": 3, "text": "text 3"}


@pytest.mark.parametrize("kind", [IndexedRecordDataset, WithProperty])
def test_a_transform_is_in_views_and_copies(path, kind):
    dataset = kind(path, transform=tenfold)
    assert dataset[2] == 20
    assert dataset[1:4][0] == 10
    assert pickle.loads(pickle.dumps(dataset))[4] == 40
    again = pickle.loads(pickle.dumps(dataset[::-1]))
    assert [again[i] for i in range(5)] == [40, 30, 20, 10, 0]


def test_a_method_of_the_class_is_not_in_the_way(path):
    assert WithMethod(path)[1] == {"number": 1, "text": "text 1"}
    assert WithMethod(path, transform=number_of)[1] == 1


def test_a_copy_keeps_what_a_subclass_has_noted(path):
    dataset = Doubling(path)
    dataset.noted = ["something"]
    copy = pickle.loads(pickle.dumps(dataset))
    assert type(copy) is Doubling
    assert copy.noted == ["something"]
    assert copy[3] == 6


@pytest.mark.parametrize("index", [5, -6, LARGEST, -LARGEST])
def test_an_index_that_is_not_there(path, index):
    with pytest.raises(IndexError):
        dsrecords.open(path)[index]


@pytest.mark.parametrize("index", [2, -3, np.int64(2), np.uint8(2)])
def test_all_integers_mean_the_same(path, index):
    assert dsrecords.open(path)[index]["number"] == 2


def test_a_closed_dataset_says_so(path):
    dataset = dsrecords.open(path)
    assert dataset[0]["number"] == 0
    dataset.close()
    with pytest.raises(ValueError, match="closed"):
        dataset[0]


def test_many_files_are_read_as_one(path, tmp_path):
    other = tmp_path / "other.rec"
    dsrecords.make_dataset([{"number": 5, "text": "five"}], other, SCHEMA)
    dataset = dsrecords.open([path, other])
    assert [dataset[i]["number"] for i in range(6)] == list(range(6))


def test_an_object_without_files_is_an_error_and_no_crash():
    blank = IndexedRecordDataset.__new__(IndexedRecordDataset)
    with pytest.raises(AttributeError):
        blank[0]


def test_a_dataset_is_closed_and_opened_while_others_read(path):
    """Each read gives the sample, or says that the dataset is closed."""
    datasets = [dsrecords.open(path)]
    wrong = []

    def read():
        for _ in range(3000):
            try:
                number = datasets[0][4]["number"]
            except ValueError:
                continue
            if number != 4:
                wrong.append(number)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        datasets[0].close()
        datasets[0] = dsrecords.open(path)
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_deserializer_that_replaces_what_is_read(path):
    """What a function of the user's does to the dataset does not pull the list from under C."""
    held = []

    def load(data):
        held[0].refresh()
        return bytes(data)

    dataset = IndexedRecordDataset(path, deserializers={"text": load})
    held.append(dataset)
    assert dataset[4]["text"] == b"text 4"
    dataset[2:4].close()
    assert dataset[4]["number"] == 4
