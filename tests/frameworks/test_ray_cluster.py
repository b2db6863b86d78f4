"""`dsrecords.ray` on a cluster of this machine: reading, writing, and workers that are killed.

With RAY_ADDRESS in the environment, it is the cluster there, which must have this machine's files.
"""

import logging
import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import large

import dsrecords

ray = large("ray")
pa = large("pyarrow")
large("ray.data")

# Ray, and what it imports, warn of what their later versions will do.
pytestmark = [pytest.mark.large, pytest.mark.filterwarnings("ignore")]
pytest_plugins = ["servers"]

COUNT = 2000


def _connect():
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if os.environ.get("RAY_ADDRESS"):
        return ray.init(**quiet)
    return ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=200 * 2**20,
        **quiet,
    )


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    for _ in range(5):
        try:
            _connect()
            break
        except Exception as error:  # of no class of its own
            ray.shutdown()
            if "timed out during startup" not in str(error):  # Ray waits for half a minute
                raise
    assert ray.is_initialized()
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers have no such module
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    yield
    ray.shutdown()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


SCHEMA = {"x": "float32[2,3]", "label": "int64", "text": "str", "maybe": "int32?"}


def sample(i):
    return {
        "x": np.full((2, 3), i, "f4"),
        "label": i,
        "text": f"text {i}",
        "maybe": None if i % 3 == 0 else i,
    }


@pytest.fixture
def ds(folder):
    _, manifest = dsrecords.make_dataset(
        map(sample, range(COUNT)), "data.rec", SCHEMA, shard_size="40kB"
    )
    found = dsrecords.open(manifest)
    assert len(found.files) > 2
    return found


def labels(ray_dataset):
    return [row["label"] for row in ray_dataset.select_columns(["label"]).take_all()]


def test_what_is_read_and_written_is_equal(ds):
    read = dsrecords.ray.read("data.json", override_num_blocks=5)
    assert read.count() == COUNT
    assert read.schema().names == list(SCHEMA)
    pattern, manifest = dsrecords.ray.write(read, "copy.rec")
    copy = dsrecords.open(manifest)
    assert copy.schema == ds.schema
    assert copy.to_arrow().equals(ds.to_arrow())
    assert len(copy.files) == 5 and len(dsrecords.open(pattern)) == COUNT
    assert not [name for name in os.listdir(".") if "writing" in name]


def test_functions_get_arrays(ds):
    def doubled(batch):
        assert batch["x"].shape[1:] == (2, 3) and batch["x"].dtype == np.float32
        return {"x": batch["x"] * 2, "label": batch["label"]}

    read = dsrecords.ray.read(ds).map_batches(doubled, batch_size=100)
    few = read.filter(lambda row: row["label"] % 500 == 1)
    _, manifest = dsrecords.ray.write(few, "few.rec", min_rows_per_shard=COUNT)
    copy = dsrecords.open(manifest)
    assert copy.schema == {"x": "float32[2,3]", "label": "int64"}
    assert copy.column("label").tolist() == [1, 501, 1001, 1501]
    assert copy[1, "x"].tolist() == [[1002] * 3] * 2
    assert len(copy.files) == 1


def test_shuffles(ds):
    read = dsrecords.ray.read("data.json", fields=["label"], override_num_blocks=3)
    shuffled = labels(read.random_shuffle(seed=1))
    assert shuffled != sorted(shuffled) == list(range(COUNT))
    ours = ds.shuffle(seed=2)
    assert labels(dsrecords.ray.read(ours)) == ours.column("label").tolist()


def test_batches_of_pytorch(ds):
    torch = large("torch")
    read = dsrecords.ray.read("data.json", fields=["x", "label"], override_num_blocks=2)
    total = 0
    for batch in read.iter_torch_batches(batch_size=300):
        assert batch["x"].dtype == torch.float32 and batch["x"].shape[1:] == (2, 3)
        assert (batch["x"][:, 0, 0] == batch["label"]).all()
        total += len(batch["label"])
    assert total == COUNT


def test_limits_and_selections(ds):
    read = dsrecords.ray.read("data.json", override_num_blocks=4)
    assert labels(read.limit(3)) == [0, 1, 2]
    assert read.select_columns(["maybe"]).take(2) == [{"maybe": None}, {"maybe": 1}]
    assert read.rename_columns({"text": "words"}).take(1)[0]["words"] == "text 0"


def test_files_with_other_types_are_written_again(folder):
    def odd(batch):
        """Blocks of which no two have the same types."""
        first = int(batch["id"][0])
        return {
            "i": [first] * 5,
            "x": [np.ones((first % 4 + 1, 2), "f4")] * 5,
            "n": [None] * 4 + [first or None],
        }

    numbers = ray.data.range(20, override_num_blocks=4).map_batches(odd, batch_size=5)
    _, manifest = dsrecords.ray.write(numbers, "odd.rec")
    copy = dsrecords.open(manifest)
    assert copy.column("i").tolist() == [0] * 5 + [5] * 5 + [10] * 5 + [15] * 5
    assert copy.schema["x"].startswith("float32[*,") and copy[5, "x"].shape == (2, 2)
    assert copy.schema["n"].endswith("?") and copy[4, "n"] is None and copy[19, "n"] == 15
    assert len(dsrecords.open("odd-*.rec")) == 20
    assert len(os.listdir(".")) == 2 * 4 + 1


def test_what_fails_leaves_nothing_and_the_old_dataset_stays(ds):
    read = dsrecords.ray.read("data.json", override_num_blocks=4)
    before = sorted(os.listdir("."))
    with pytest.raises(FileExistsError, match="overwrite=True"):
        dsrecords.ray.write(read, "data.rec")

    def failing(batch):
        if COUNT - 1 in batch["label"].to_pylist():
            raise ZeroDivisionError("for a reason")
        return batch

    failed = read.map_batches(failing, batch_format="pyarrow")
    with pytest.raises(Exception, match="for a reason"):
        dsrecords.ray.write(failed, "data.rec", overwrite=True)
    assert sorted(os.listdir(".")) == before
    with pytest.raises(dsrecords.SchemaError, match="label"):
        dsrecords.ray.write(read, "other.rec", {**SCHEMA, "label": "int8"})
    assert sorted(os.listdir(".")) == before
    assert ds.check() == []
    _, manifest = dsrecords.ray.write(read.limit(10), "data.rec", overwrite=True)
    assert len(dsrecords.open(manifest)) == 10 and len(os.listdir(".")) < len(before)


# Workers that are killed


def _die_once(path):
    """End this process at once, if it is the first that comes here."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_reader_that_is_killed_is_replaced(ds, folder):
    marker = str(folder / "killed")

    def fatal(batch):
        if 777 in batch["label"].to_pylist():
            _die_once(marker)
        return batch

    read = dsrecords.ray.read("data.json", override_num_blocks=4)
    mapped = read.map_batches(fatal, batch_format="pyarrow", batch_size=50)
    assert labels(mapped) == list(range(COUNT))
    assert os.path.exists(marker)


class DeadlySink(dsrecords.ray.Datasink):
    """Kills the worker that has just written the file with the number 1, once."""

    marker = ""

    def write(self, blocks, ctx):
        found = super().write(blocks, ctx)
        if ctx.task_idx == 1:
            _die_once(self.marker)
        return found


def test_a_writer_that_is_killed_leaves_no_doubles(ds, folder):
    sink = DeadlySink("copy.rec")
    sink.marker = str(folder / "killed")
    dsrecords.ray.read("data.json", override_num_blocks=4).write_datasink(sink)
    assert os.path.exists(sink.marker)
    copy = dsrecords.open(sink.written()[1])
    assert copy.to_arrow().equals(ds.to_arrow())
    assert copy.check() == [] and len(copy.files) == 4
    written = [name for name in os.listdir(".") if name.startswith("copy")]
    assert len(written) == 2 * 4 + 1


# Buckets


@pytest.fixture
def in_bucket(bucket, options):
    """The path of the manifest of a dataset in a bucket."""
    _, manifest = dsrecords.make_dataset(
        [sample(i) for i in range(COUNT)],
        f"{bucket}/data.rec",
        SCHEMA,
        shards=3,
        metadata={"a": 1},
        storage_options=options,
    )
    return manifest


@pytest.fixture
def names(past_the_proxy):
    """A function that tells which objects the bucket has."""

    def names():
        return sorted(each["path"] for batch in past_the_proxy.list() for each in batch)

    return names


def test_what_is_read_from_a_bucket_and_written_there_is_equal(in_bucket, bucket, options):
    read = dsrecords.ray.read(in_bucket, storage_options=options, override_num_blocks=4)
    assert read.count() == COUNT
    copied = dsrecords.ray.write(read, f"{bucket}/sub/copy.rec", storage_options=options)
    assert copied[1] == f"{bucket}/sub/copy.json"
    source = dsrecords.open(in_bucket, storage_options=options)
    for path in copied:
        copy = dsrecords.open(path, storage_options=options)
        assert copy.schema == source.schema and copy.metadata == {"a": 1}
        assert copy.to_arrow().equals(source.to_arrow())
        assert len(copy.files) == 4
    ours = source.shuffle(seed=2)
    assert labels(dsrecords.ray.read(ours)) == ours.column("label").tolist()


def test_a_bucket_is_read_by_ranges(in_bucket, bucket, options, proxy):
    rows = [{"label": i, "blob": bytes(100_000)} for i in range(20)]
    path, _ = dsrecords.make_dataset(
        rows, f"{bucket}/large.rec", {"label": "int64", "blob": "bytes"}, storage_options=options
    )
    read = dsrecords.ray.read(path, storage_options=options, override_num_blocks=2)
    proxy.forget()
    assert labels(read) == list(range(20))
    assert 0 < sum(each.sent for each in proxy.requests) < 20 * 100_000 / 4
    assert read.limit(3).take_all()[2]["blob"] == bytes(100_000)


def test_what_fails_leaves_nothing_in_a_bucket(in_bucket, bucket, options, names):
    read = dsrecords.ray.read(in_bucket, storage_options=options, override_num_blocks=4)
    before = names()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        dsrecords.ray.write(read, f"{bucket}/data.rec", storage_options=options)

    def failing(batch):
        if COUNT - 1 in batch["label"].to_pylist():
            raise ZeroDivisionError("for a reason")
        return batch

    failed = read.map_batches(failing, batch_format="pyarrow")
    with pytest.raises(Exception, match="for a reason"):
        dsrecords.ray.write(failed, f"{bucket}/data.rec", overwrite=True, storage_options=options)
    assert names() == before
    replaced = dsrecords.ray.write(
        read.limit(10), f"{bucket}/data.rec", overwrite=True, storage_options=options
    )
    assert len(dsrecords.open(replaced[1], storage_options=options)) == 10
    assert not set(before) - {"data.json"} & set(names())


def test_other_types_are_written_again_in_a_bucket(bucket, options, names):
    def odd(batch):
        first = int(batch["id"][0])
        return {"n": [None] * 4 + [first or None], "x": [np.ones((first % 4 + 1, 2), "f4")] * 5}

    numbers = ray.data.range(20, override_num_blocks=4).map_batches(odd, batch_size=5)
    _, manifest = dsrecords.ray.write(numbers, f"{bucket}/odd.rec", storage_options=options)
    copy = dsrecords.open(manifest, storage_options=options)
    assert copy.schema["n"].endswith("?") and copy[4, "n"] is None and copy[19, "n"] == 15
    assert copy[5, "x"].shape == (2, 2)
    assert len(names()) == 2 * 4 + 1


def test_a_writer_that_is_killed_leaves_no_doubles_in_a_bucket(
    in_bucket, bucket, options, names, folder
):
    before = names()
    sink = DeadlySink(f"{bucket}/copy.rec", storage_options=options)
    sink.marker = str(folder / "killed")
    read = dsrecords.ray.read(in_bucket, storage_options=options, override_num_blocks=4)
    read.write_datasink(sink)
    assert os.path.exists(sink.marker)
    source = dsrecords.open(in_bucket, storage_options=options)
    for path in sink.written():
        copy = dsrecords.open(path, storage_options=options)
        assert copy.to_arrow().equals(source.to_arrow())
        assert copy.check() == []
    assert len(names()) - len(before) == 2 * 4 + 1


def test_the_examples_of_the_page_run(folder):
    large("torch")
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?:<!-- no-test: (.*?) -->\n)?```python\n(.*?)```", page, re.DOTALL)
    names = {"__name__": "__main__"}  # so that Ray sends functions, and not their names
    ran = 0
    for position, (reason, code) in enumerate(blocks):
        if position == 0 or "test_ray_cluster" in reason:
            exec(compile(code, "scale.md", "exec"), names)
            ran += 1
    assert ran > 3
