"""A conversion that is killed anywhere, and gone on with: the same dataset as without."""

import os
import random
import signal
import warnings
from functools import partial

import pytest
import sources
from conftest import IN_FULL
from sources import of_csv, of_image_folder, of_json_lines, of_tar
from test_importing import plain, undecoded

import dsrecords
from dsrecords import convert
from dsrecords._cli.main import main
from dsrecords._convert import base, csv, image_folder, json_lines, webdataset
from dsrecords._storage import files
from dsrecords._write import samples, writer

CLASSES = {
    "csv": (of_csv, csv.CsvSource),
    "json-lines": (of_json_lines, json_lines.JsonLinesSource),
    "image-folder": (of_image_folder, image_folder.ImageFolderSource),
    "webdataset": (of_tar, webdataset.WebDatasetSource),
}
COUNT = 100
MOMENTS = range(0, COUNT, 2) if IN_FULL else (0, 18, 57, 99)  # of 4 formats: 16, or 50 each


@pytest.fixture
def small_batches(monkeypatch):
    """Sources of more rows than a batch of a writer has."""
    monkeypatch.setattr(sources, "COUNT", COUNT)
    for module in (writer, samples):
        monkeypatch.setattr(module, "BATCH_RECORDS", 16)


def killed_at(cls, moment, source, target):
    """Convert in a forked process, which kills itself before that row is given."""
    known = cls.rows

    def rows(self, schema, damage):
        for position, row in enumerate(known(self, schema, damage)):
            if position == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            yield row

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process = os.fork()
    if not process:
        try:
            cls.rows = rows
            cls.table = base.Source.table
            convert(source, target, resume=True)
        finally:
            os._exit(1)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("name", CLASSES)
def test_resumed(tmp_path, name, small_batches):
    make, cls = CLASSES[name]
    source = make(tmp_path)
    convert(source.path, tmp_path / "whole.rec")
    wanted = plain(undecoded(tmp_path / "whole.rec"))
    for moment in MOMENTS:
        target = tmp_path / f"{moment}.rec"
        killed_at(cls, moment, source.path, target)
        assert not target.exists()
        assert len(dsrecords.open(f"{target}.partial")) >= moment - 31
        made = convert(source.path, target, resume=True)
        assert made.records == len(source.rows)
        assert plain(undecoded(target)) == wanted
        left = [one for one in os.listdir(tmp_path) if one.startswith(f"{moment}.")]
        assert sorted(left) == [f"{moment}.idx", f"{moment}.rec"]


CALLS = ("create", "pwrite", "pwritev", "truncate", "sync", "rename", "link", "unlink", "discard")


def forked(function):
    """Run a function in a forked process, of which the exit status is returned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process = os.fork()
    if not process:
        status = 1
        try:
            status = function()
        finally:
            os._exit(status)
    _, status = os.waitpid(process, 0)
    return status


def command_until(source, target, last):
    """Run the command up to a call that changes files, before which the process kills itself.

    Returns:
        How many such calls there were, if it was not killed.
    """
    count = 0

    def counted(known):
        def call(*arguments, **options):
            nonlocal count
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            return known(*arguments, **options)

        return call

    for name in CALLS:
        setattr(files, name, counted(getattr(files, name)))
    assert main(["convert", str(source), str(target), "--resume"]) == 0
    return count


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("name", CLASSES)
def test_the_command_is_killed_before_any_write(tmp_path, name, small_batches, capfd):
    make, _ = CLASSES[name]
    source = make(tmp_path)
    convert(source.path, tmp_path / "whole.rec")
    wanted = plain(undecoded(tmp_path / "whole.rec"))
    status = forked(lambda: command_until(source.path, tmp_path / "counted.rec", -1))
    total = os.waitstatus_to_exitcode(status)
    assert 15 < total < 250
    chosen = random.Random(name)  # the same in each run
    for number, moment in enumerate(chosen.choices(range(total), k=50 if IN_FULL else 3)):
        target = tmp_path / f"{number}.rec"
        status = forked(partial(command_until, source.path, target, moment))
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if not target.exists():
            assert main(["convert", str(source.path), str(target), "--resume"]) == 0
            left = [path for path in tmp_path.glob(f"{number}.*") if path.stat().st_size]
            assert sorted(left) == [target.with_suffix(".idx"), target]
        assert plain(undecoded(target)) == wanted
        assert dsrecords.open(target).check() == []
    capfd.readouterr()


def test_a_source_that_was_changed_meanwhile_is_noticed(tmp_path, small_batches):
    source = of_json_lines(tmp_path)
    killed_at(json_lines.JsonLinesSource, 99, source.path, tmp_path / "a.rec")
    text = source.path.read_text()
    source.path.write_text(text.replace('"id": 1,', '"id": 100,', 1))
    assert len(dsrecords.open(tmp_path / "a.rec.partial")) >= 80
    with pytest.raises(dsrecords.SchemaError, match="the samples are others"):
        convert(source.path, tmp_path / "a.rec", resume=True)


def test_an_export_that_was_killed_is_made_anew(tmp_path):
    source = of_json_lines(tmp_path)
    convert(source.path, tmp_path / "a.rec")
    partial = tmp_path / "photos.tar.dsrecords-partial"
    partial.write_bytes(b"what a killed conversion has left")
    convert(tmp_path / "a.rec", tmp_path / "photos.tar", resume=True)
    assert not partial.exists()
    assert convert(tmp_path / "photos.tar").records == 12
