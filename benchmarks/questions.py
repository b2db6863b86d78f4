"""What is asked of every peer: one list for the driver and the workers. A peer that lacks a verb is not in its rows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Read:
    """One question about reading.

    `verb` is the adapter's method; `size` is how many records one call asks for (0: the verb takes no positions and
    reads everything), or at least `least` and at most `size`; `again` asks the same records a second time of the same open reader and reports that apart.
    """

    key: str
    workload: str
    verb: str
    title: str
    size: int = 0
    again: bool = False
    cold: bool = False
    most: int = 1 << 40  # at most so many records a round
    least: int = 0  # 0: every call asks for `size`


@dataclass(frozen=True)
class Write:
    """One question about writing. `verb` is the adapter's method."""

    key: str
    workload: str
    verb: str
    title: str


_COLD = "cold disk: random batches of 64, opening included"

READS = (
    Read(
        "small/get", "small", "get_each", "one random record a call, decoded", size=500, again=True
    ),
    Read(
        "small/batch", "small", "batch", "random batches of 256, as columns", size=256, again=True
    ),
    Read("small/scan", "small", "scan", "every record in order, decoded"),
    Read(
        "strings/get",
        "strings",
        "get_each",
        "one random record a call, decoded",
        size=500,
        again=True,
    ),
    Read("texts/batch", "texts", "batch", "random batches of 256", size=256, again=True),
    Read(
        "texts/take",
        "texts",
        "batch",
        "20 to 50 random records a call, Lance's benchmark",
        size=50,
        least=20,
        again=True,
    ),
    Read(
        "images/batch",
        "images",
        "batch",
        "random batches of 64, owned bytes and labels",
        size=64,
        again=True,
    ),
    Read(
        "images/view",
        "images",
        "batch_view",
        "random batches of 64, views and labels",
        size=64,
        again=True,
    ),
    Read("images/scan", "images", "scan", "every record in order"),
    Read("images/column", "images", "column", "the label column", again=True),
    Read(
        "arrays/batch",
        "arrays",
        "batch",
        "random batches of 64, stacked in a new array",
        size=64,
        again=True,
    ),
    Read(
        "arrays/into",
        "arrays",
        "batch_into",
        "random batches of 64, stacked in a reused array",
        size=64,
        again=True,
    ),
    Read(
        "tokens/batch",
        "tokens",
        "batch",
        "random batches of 64, stacked in a new array",
        size=64,
        again=True,
    ),
    Read(
        "tokens/into",
        "tokens",
        "batch_into",
        "random batches of 64, stacked in a reused array",
        size=64,
        again=True,
    ),
    Read("blobs/cold", "blobs", "batch", _COLD, size=64, cold=True, most=1024),
    Read(
        "texts/cold",
        "texts",
        "batch",
        "cold disk: 20 to 50 random records a call, opening included",
        size=50,
        least=20,
        cold=True,
        most=1024,
    ),
    Read("images/cold", "images", "batch", _COLD, size=64, cold=True, most=512),
    Read(
        "images/cold-column",
        "images",
        "column",
        "cold disk: the label column, opening included",
        cold=True,
    ),
)

WRITES = (
    Write(
        "small/append",
        "small",
        "append_each",
        "one call a record; each is visible to others and survives a kill when the call returns",
    ),
    Write(
        "small/commit",
        "small",
        "write_each",
        "one call a record; all are visible and safe when the writer commits or closes",
    ),
    Write("small/extend", "small", "write_rows", "one call with all rows"),
    Write("small/columns", "small", "write_columns", "one call with whole columns"),
    Write("strings/write", "strings", "write", "each by its fastest way"),
    Write("texts/write", "texts", "write", "each by its fastest way"),
    Write("images/write", "images", "write", "each by its fastest way"),
    Write("arrays/write", "arrays", "write", "each by its fastest way"),
    Write("tokens/write", "tokens", "write", "each by its fastest way"),
    Write("blobs/write", "blobs", "write", "each by its fastest way"),
)
