"""One value stored and read back: what all tests of files of other libraries do."""

import dsrecords
from dsrecords import DSRecordsError


def store(folder, kind, *values):
    """The path of a new dataset of one field, `v`."""
    number = len(list(folder.glob("*.rec")))
    schema = {"v": kind}
    path, _ = dsrecords.make_dataset(
        [{"v": value} for value in values], folder / f"{number}.rec", schema
    )
    return path


def back(folder, kind, value, decode=None):
    return read(store(folder, kind, value), decode)


def read(path, decode=None):
    options = {} if decode is None else {"decode": {"v": decode}}
    return dsrecords.open(path, **options)[0, "v"]


def refused(function, *arguments):
    """Whether a call is refused, by an error of ours."""
    try:
        function(*arguments)
    except DSRecordsError:
        return True
    return False
