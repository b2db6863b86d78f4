"""Files of two copies that were edited apart, exchanged and half overwritten: no list is shown that never was.

The copies have an id and a past in common. What is looked at:

- Opened: it is refused, or each record is one of a list that one of the two was, or an error. A log that is whole shows what it
  means. Nothing is shown that ends before what an index of this dataset vouches for.
- A writer goes on from what was shown.
- Overwritten while it is open: `refresh` shows what is there now. A writer writes nothing into what is not its own, neither the
  log nor the index. A view is saved, and a pickle opened, only if they show what they showed.
"""

import contextlib
import pickle
import random
import struct
import warnings
import zlib

from bytes_by_hand import INDEX_MAGIC
from operations import (
    INDEX,
    NUMBERS,
    OPERATIONS,
    PATH,
    SCHEMA,
    SMALL_INDEX,
    State,
    World,
    beginning,
    row,
    small_writers,
)
from power_loss import LostError
from simulation import Machine

import dsrecords
from dsrecords import CorruptError, DSRecordsError, StaleViewError

VIEW = "/sim/v.idx"
BLOCKS = (8, 16, 24, 40, 64, 72, 128, 512, 4096)  # bytes
EDITS = (*OPERATIONS, "update", "revise_several", "delete_ranges", "remove", "extend_columns")
# What makes of a log another dataset, with another id, comes more rarely.
MORE = [name for name in EDITS for _ in range(1 if name in ("compact", "reopen") else 4)]


class Copy:
    """One of two copies.

    Attributes:
        files: of each moment: what a kill would have left after each operation, and what closing left.
        now: its last state.
        states: all that it has been, and what cuts leave of a log that was made as a whole.
        view: of some moment: what a view file that was saved then shows.
    """

    def __init__(self, start, known, operations, rng, schema):
        machine = Machine(start)
        world = World(machine, known, schema)
        self.mark = row(7, schema)  # a sample to add
        self.files, self.view, self.states = [], None, prefixes(known)
        with machine.running():
            world.open()
            for name in operations:
                getattr(world, name)()
                self.files.append(machine.contents())
                if name == "compact":
                    self.states += prefixes(world.states[-1])
                if rng.random() < 0.3:
                    key = rng.choice([slice(None), slice(None, None, -1), slice(1, None, 2)])
                    world.ds[key].save_view(VIEW, overwrite=True)
                    self.view = machine.contents()[VIEW], world.now[key]
            world.ds.close()
            world.ds = None
        self.files.append(machine.contents())
        self.now = world.states[-1]
        self.states += world.states

    @property
    def last(self):
        return self.files[-1]


def prefixes(state):
    return [State(state.samples[:count], state.metadata) for count in range(len(state.samples))]


def two_copies(rng):
    """Copies that were edited apart, one of which may be the other as it was."""
    schema = rng.choice([SCHEMA, NUMBERS])  # with heads in the rows of the index, or without
    start, known = beginning(rng.choice([0, 3, 9]), schema)
    past = Copy(start, known, _some(rng, 3), rng, schema)
    copies = [Copy(past.last, past.now, _some(rng, 5) or ["append"], rng, schema) for _ in range(2)]
    for copy in copies:
        copy.states = past.states + copy.states
        copy.files = past.files + copy.files
    return copies


def _some(rng, most):
    return [rng.choice(MORE) for _ in range(rng.randrange(most + 1))]


def mixed(one, other, rng):
    """Blocks of either, as a copy leaves them that was interrupted, or that skips what it takes to be equal."""
    block = rng.choice(BLOCKS)
    length = rng.choice([len(one), len(other), max(len(one), len(other))])
    fills = [data.ljust(length, b"\0") for data in (one, other)]
    count = -(-length // block)
    first = rng.randrange(count + 1)
    how = rng.choice(["beginning", "end", "any"])
    parts = []
    for number in range(count):
        if how == "any":
            chosen = rng.choice(fills)
        else:
            chosen = fills[(number < first) == (how == "beginning")]
        parts.append(chosen[block * number : block * (number + 1)])
    return b"".join(parts)[:length]


def vouched(index, id):
    """Up to where the slots of an index say that the log of this dataset is whole."""
    ends = [0]
    for at in (0, 4096):
        slot = index[at : at + 128].ljust(128, b"\0")
        (checksum,) = struct.unpack_from("<I", slot, 8)
        if slot[:8] == INDEX_MAGIC and slot[16:32] == id and checksum == zlib.crc32(slot[12:]):
            ends += struct.unpack_from("<Q40xQ", slot, 48)
    return max(ends)


def seen(ds):
    """The list and the metadata; an error where there is one."""
    samples = []
    for i in range(len(ds)):
        try:
            samples.append(ds[i])
        except CorruptError as error:
            if error.file not in (PATH, INDEX):
                raise LostError(f"the error does not name the file: {error}") from error
            samples.append(error)
    try:
        column = ds.column("n").tolist()
    except CorruptError:
        pass
    else:
        if any(
            not isinstance(s, Exception) and s["n"] != n
            for s, n in zip(samples, column, strict=True)
        ):
            raise LostError("a column differs from the records")
    try:
        return State(samples, ds.metadata)
    except CorruptError as error:
        return State(samples, error)


def fits(found, state):
    """Whether all that was found without an error is of this state."""
    if state is None or len(state.samples) != len(found.samples):
        return False
    pairs = [*zip(found.samples, state.samples, strict=True), (found.metadata, state.metadata)]
    return all(isinstance(a, Exception) or a == b for a, b in pairs)


def judge(files, allowed, mark, tally):
    """Open files, read all, and add a sample. `allowed`: the states of which one must be shown."""
    machine = Machine(files)
    with machine.running(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = dsrecords.open(PATH)
        except DSRecordsError:
            tally["refused"] += 1
            return
        found = seen(ds)
        fitting = [state for state in allowed if fits(found, state)]
        if not fitting:
            raise LostError(f"{_short(found)} is none of {[_short(state) for state in allowed]}")
        end = ds._reading.snapshot().mark.end
        if INDEX in files and end < vouched(files[INDEX], files[PATH][24:40]):
            raise LostError("the list ends before what the index vouches for")
        if found not in fitting:
            tally["shown in part"] += 1
            return
        tally["shown"] += 1
        try:
            ds.append(mark)
        except DSRecordsError:
            if ds._reading.snapshot().mark.end != end:
                raise LostError("a writer that refuses has written") from None
            return
        ds.close()
        after = seen(dsrecords.open(PATH))
        if after != State([*found.samples, mark], found.metadata):
            raise LostError(f"a writer made of {_short(found)}: {_short(after)}")


def _short(state):
    if state is None:
        return None
    return [s if isinstance(s, Exception) else s["n"] for s in state.samples], state.metadata


# Files that do not belong together


def exchanged(copies, rng, tally):
    """The log of a moment of one, with the index of a moment of either, or mixtures."""
    one, other = rng.sample(copies, 2)
    moment = rng.randrange(len(one.files))
    log = one.files[moment][PATH]
    allowed = one.states
    files = {PATH: log}
    if rng.random() < 0.5:
        files[PATH] = mixed(log, rng.choice(rng.choice(copies).files)[PATH], rng)
        allowed = one.states + other.states
    indexes = [rng.choice(copy.files)[INDEX] for copy in (one, other, one)]
    kind = rng.choice(["of its own moment", "of another", "of another", "mixed", "mixed", "none"])
    if kind == "of its own moment":
        indexes = [one.files[moment][INDEX]]
    if kind == "mixed":
        indexes = [mixed(*rng.sample(indexes, 2), rng)]
    if kind != "none":
        files[INDEX] = indexes[0]
    tally["mixtures" if "mixed" in kind or len(allowed) > len(one.states) else "exchanged"] += 1
    judge(files, allowed, one.mark, tally)


def view(copies, rng, tally):
    """A view of one, or a mixture of two views, beside the log of either."""
    saved = [copy.view for copy in copies if copy.view]
    if not saved:
        return
    tally["views"] += 1
    data, samples = rng.choice(saved)
    wanted = [samples]
    if rng.random() < 0.5:
        more, its = rng.choice(saved)
        data, wanted = mixed(data, more, rng), [samples, its]
    machine = Machine({**rng.choice(rng.choice(copies).files), VIEW: data})
    with machine.running(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = dsrecords.open(PATH, index_path=VIEW)
        except DSRecordsError:
            tally["refused"] += 1
            return
        found = State(seen(ds).samples, {})
        if not any(fits(found, State(samples, {})) for samples in wanted):
            raise LostError(f"a view shows {_short(found)}")


# Files that are overwritten while they are open


def overwrite(machine, files):
    """Another program puts other bytes into the same files."""
    for path in (PATH, INDEX):
        machine.names[path].data[:] = files[path]


CHANGES = (
    lambda ds, mark: ds.append(mark),
    lambda ds, mark: ds.extend([mark, mark]),
    lambda ds, mark: ds.__delitem__(0),
    lambda ds, mark: ds.__setitem__(0, mark),
    lambda ds, mark: ds.__setitem__((0, "n"), 7),
    lambda ds, mark: ds.set_metadata({"a": 1}),
    lambda ds, mark: ds.flush(),
    lambda ds, mark: ds.flush(sync=True),
    lambda ds, mark: ds.compact(),
    lambda ds, mark: ds.close(),
)


def under_a_writer(copies, rng, tally):
    one, other = rng.sample(copies, 2)
    machine = Machine(rng.choice(one.files))
    with machine.running(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dsrecords.open(PATH)
        ds.append(one.mark)
        if rng.random() < 0.5:
            ds.flush()
        moment = rng.choice(other.files)
        overwrite(machine, moment)
        tally["overwritten under a writer"] += 1
        before = machine.contents()
        for change in rng.sample(CHANGES, 3):
            with contextlib.suppress(DSRecordsError, IndexError, ValueError):
                change(ds, one.mark)
        ds = None
        if machine.contents() != before:
            changed = [path for path in before if machine.contents().get(path) != before[path]]
            raise LostError(f"a writer whose file was overwritten has written: {changed}")


def index_exchanged_under_a_writer(copies, rng, tally):
    """The index alone is another one: in the same file, or one that takes its place."""
    one, other = rng.sample(copies, 2)
    machine = Machine(rng.choice(one.files))
    with machine.running(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dsrecords.open(PATH)
        ds.append(one.mark)
        if rng.random() < 0.7:
            ds.flush()
        for change in rng.sample(CHANGES[:6], 2):
            with contextlib.suppress(IndexError):
                change(ds, one.mark)
        index = rng.choice(rng.choice([one, other]).files)[INDEX]
        if rng.random() < 0.5:
            machine.names[INDEX].data[:] = index
        else:
            machine.names["/sim/new"] = type(machine.names[INDEX])(10**6, index)
            machine.replace("/sim/new", INDEX)
        tally["indexes exchanged under a writer"] += 1
        wanted = seen(ds)
        ds.close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the index is in use
            found = seen(dsrecords.open(PATH))
        if found != wanted:
            raise LostError(f"{_short(found)}, not {_short(wanted)}")


def under_a_reader(copies, rng, tally):
    one, other = rng.sample(copies, 2)
    machine = Machine(rng.choice(one.files))
    with machine.running(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dsrecords.open(PATH)
        samples = list(ds)
        part = ds[::-1]
        pickled = [pickle.dumps(ds), pickle.dumps(part)]
        moment = rng.choice(other.files)
        overwrite(machine, moment)
        tally["overwritten under a reader"] += 1
        for data, shown in zip(pickled, (samples, samples[::-1]), strict=True):
            try:
                opened = pickle.loads(data)
            except DSRecordsError:
                continue
            if list(opened) != shown:
                raise LostError("a pickle shows another list")
        try:
            part.save_view(VIEW, overwrite=True)
        except StaleViewError:
            pass
        else:
            if list(dsrecords.open(PATH, index_path=VIEW)) != samples[::-1]:
                raise LostError("a view that was saved shows another list")
        ds.refresh()
        wanted = Machine(moment)
    with wanted.running():
        shown = seen(dsrecords.open(PATH))
    with machine.running():
        if seen(ds) != shown:
            raise LostError(f"refreshed, it shows {_short(seen(ds))}, not {_short(shown)}")


TRIALS = {
    exchanged: 60,
    view: 10,
    under_a_writer: 12,
    index_exchanged_under_a_writer: 8,
    under_a_reader: 8,
}


def trials(tally, seed):
    """Two copies, in about a hundred ways."""
    rng = random.Random(seed)
    small_index = rng.choice([0, SMALL_INDEX])
    with small_writers(small_index=small_index):
        copies = two_copies(rng)
        tally["pairs of copies"] += 1
        for trial, count in TRIALS.items():
            for number in range(count):
                try:
                    trial(copies, rng, tally)
                except Exception as error:
                    raise LostError(f"seed {seed}, {trial.__name__} {number}: {error!r}") from error
