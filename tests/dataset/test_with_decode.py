"""Views whose images are read in another way."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

import dsrecords
from dsrecords import vision


def png(number):
    file = io.BytesIO()
    Image.new("RGB", (6, 4), (number, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def made(path):
    rows = [{"image": png(i), "label": i, "blob": bytes([i] * 9)} for i in range(6)]
    dsrecords.make_dataset(rows, path, {"image": "png", "label": "int64", "blob": "bytes"})
    return path


def test_the_view_decodes_in_another_way_and_the_dataset_as_before(made):
    ds = dsrecords.open(made)
    view = ds[1:5].with_decode({"image": "array"})
    assert isinstance(ds[2]["image"], Image.Image)
    assert view[1]["image"].shape == (4, 6, 3)
    assert view.batch([0, 3])["image"][1][0, 0, 0] == 4
    assert (len(view), view.decode, ds.decode) == (4, {"image": "array"}, {})
    again = view.with_decode({"image": vision.Resize((2, 2))})
    assert again[0]["image"].shape == (2, 2, 3)
    assert pickle.loads(pickle.dumps(view))[3]["image"].shape == (4, 6, 3)
    assert ds.with_decode({}).decode == {}


def test_what_was_said_of_other_fields_and_of_copies_stays(made):
    ds = dsrecords.open(made, decode={"image": "gray"}, copy=False)
    assert isinstance(ds.with_decode({})[0]["blob"], memoryview)
    owned = ds.with_decode({}, copy=True)
    assert owned[0]["blob"] == bytes(9)
    assert isinstance(owned[0]["blob"], bytes)
    assert owned[0]["image"].shape == (4, 6)


def test_views_of_fields_name_them_as_they_show_them(tmp_path):
    path = tmp_path / "tuples.rec"
    dsrecords.make_dataset([(i, png(i)) for i in range(3)], path, ["int64", "png"])
    view = dsrecords.open(path).select_fields([1])
    assert view.with_decode({0: "array"})[2][0].shape == (4, 6, 3)
    assert view.with_decode({0: "array"}).decode == {0: "array"}


@pytest.mark.parametrize(
    ("decode", "kind"), [("array", TypeError), ({"nothing": "rgb"}, dsrecords.SchemaError)]
)
def test_what_is_no_decoding_is_refused(made, decode, kind):
    with pytest.raises(kind):
        dsrecords.open(made).with_decode(decode)


def test_mixtures_and_zipped_datasets(made, tmp_path):
    ds = dsrecords.open(made)
    mixed = dsrecords.mix([ds, ds[::-1]], seed=None).with_decode({"image": "array"})
    assert mixed[0]["image"].shape == (4, 6, 3)
    assert mixed.fingerprint == dsrecords.mix([ds, ds[::-1]], seed=None).fingerprint
    path = tmp_path / "more.rec"
    dsrecords.make_dataset([{"mask": png(i)} for i in range(6)], path, {"mask": "png"})
    both = dsrecords.zip([ds, dsrecords.open(path)]).with_decode({"mask": "gray"})
    assert both[0]["mask"].shape == (4, 6)
    assert isinstance(both[0]["image"], Image.Image)
    with pytest.raises(dsrecords.SchemaError, match="no field 'other'"):
        both.with_decode({"other": "gray"})
    with pytest.raises(TypeError, match="has no method with_decode"):
        dsrecords.mix([[1, 2], [3]]).with_decode({"image": "gray"})


def test_mixtures_of_windows_are_read_in_batches(tmp_path):
    path = tmp_path / "tokens.rec"
    rows = [{"tokens": np.arange(i, i + 20)} for i in range(4)]
    dsrecords.make_dataset(rows, path, {"tokens": "int64[*]"})
    ds = dsrecords.open(path)
    mixed = dsrecords.mix([ds.windows("tokens", 8), ds.windows("tokens", 8)], [3, 1], stop=8)
    assert mixed.batch(range(8)).tolist() == [window.tolist() for window in mixed]
    marked = [ds.windows("tokens", 8, boundaries=True)] * 2
    window = dsrecords.mix(marked, stop=6).batch(range(6))
    assert window._fields == marked[0][0]._fields
    assert len(window[1]) == 6
