"""Make, read, edit and compact a dataset, with nothing installed but the package and what it asks for.

`.ci/run` runs this under each Python of the machine, on the built wheel. It needs no test framework and no
optional package.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from importlib.metadata import version
from importlib.resources import files

import dsrecords
from dsrecords import IndexedRecordDataset, io, make_dataset

SCHEMA = {"text": "str", "label": "int64", "boxes": "float32[*,4]"}


def row(i):
    return {"text": f"record {i} é", "label": i, "boxes": [[i, i, i, i]] * (1 + i % 3)}


def same(got, wanted):
    got = {**got, "boxes": got["boxes"].tolist()}
    assert got == wanted, (got, wanted)


def main():
    # An import that is not needed costs every process that loads data.
    needless = {"tqdm", "PIL", "cv2", "multiprocessing"} & set(sys.modules)
    assert not needless, needless
    assert version("dsrecords") == dsrecords.__version__
    expected = os.environ.get("DSRECORDS_SMOKE", "")  # which of the two wheels this is
    assert expected in ("", "compiled" if dsrecords.native else "pure"), expected
    assert (files("dsrecords") / "py.typed").is_file()

    rows = [row(i) for i in range(100)]
    path, index_path = make_dataset(rows, "small.rec", SCHEMA, progress=True)
    with dsrecords.open(path) as ds:
        assert len(ds) == 100
        same(ds[0], rows[0])
        same(ds[-1], rows[-1])
        assert ds[7, "label"] == 7
        assert [sample["label"] for sample in ds[10:13]] == [10, 11, 12]
        batch = ds.batch([5, 1, 9])
        assert batch["label"].tolist() == [5, 1, 9]
        assert batch["text"] == [rows[i]["text"] for i in (5, 1, 9)]
        same(pickle.loads(pickle.dumps(ds))[3], rows[3])

        ds.append(row(100))
        ds.extend([row(101), row(102)])
        ds[7] = row(700)
        del ds[0]
        ds.quick_remove_at(0)
        rows = [row(102), *rows[2:7], row(700), *rows[8:], row(100), row(101)]
        assert ds.column("label").tolist() == [sample["label"] for sample in rows]
        try:
            ds.append({"text": "no label", "boxes": []})
        except dsrecords.SchemaError as error:
            assert "label" in str(error), error
        else:
            raise AssertionError("a sample without a label was appended")

    os.remove(index_path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ds = dsrecords.open(path)
    assert ["is missing" in str(warning.message) for warning in told] == [True], told
    with ds:
        assert len(ds) == len(rows)
        for got, wanted in zip(ds, rows, strict=True):
            same(got, wanted)
        before = os.path.getsize(path)
        ds.compact()
        assert os.path.getsize(path) < before
        assert ds.column("label").tolist() == [sample["label"] for sample in rows]
        assert not ds.check()

    # Without names and with functions, read by another process.
    data = IndexedRecordDataset("pairs.rec", serializers=[io.save_float, io.save_int])
    data.append([0.5, 3])
    code = "import dsrecords; print(tuple(dsrecords.open('pairs.rec')[0]))"
    out = subprocess.run(
        [sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert out.strip() == "(0.5, 3)", out


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main()
        os.chdir(
            os.path.dirname(folder)
        )  # a folder that is somebody's working directory cannot be removed everywhere
