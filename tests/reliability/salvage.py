"""`repair` after all kinds of damage: what it saves was written, what is whole is saved, and nothing is touched unasked.

What is looked at, with one to three damages in either file or both:

- Looking writes nothing, and says that something is wrong wherever reading says so.
- An output holds records that were written, and no others; as many as were promised; and is whole itself. The original stays.
- If the only damage lies in one record that the list has, all the others are saved, and that one is named. Without an index
  that is so where the list has only grown (no edit speaks of positions then), or where the damage spares the first bytes of the
  record's frame, as the next frame names it.
- Damage to these bytes alone, but for the check, takes nothing.
- In place: either it is refused, and nothing was touched; or afterwards nothing is wrong, the list is one that was committed,
  no shorter than the last index says, and mending once more changes nothing.
"""

import random
import warnings

from damage import INDEX, PATH, disaster, same
from operations import small_writers
from power_loss import LostError
from simulation import Machine

import dsrecords
from dsrecords import CorruptError, DSRecordsError, UnsupportedVersionError, repair

SAVED = "/sim/saved.rec"


def trials(damaged, tally, count, seed):
    """So many damaged datasets are looked at, saved and mended."""
    rng = random.Random(seed)
    while count:
        files, where = damaged.files, []
        for _ in range(rng.choice([1, 1, 2, 3])):
            kind, place, files = disaster(files, rng)
            where.append((kind, *place))
        if rng.random() < 0.25:
            files = {path: data for path, data in files.items() if path != INDEX}
        if files == damaged.files:
            continue
        count -= 1
        tally["damaged datasets"] += 1
        try:
            trial(damaged, files, where, tally)
        except Exception as error:
            raise LostError(
                f"{where}, {'with' if INDEX in files else 'without'} an index: {error!r}"
            ) from error


def trial(damaged, files, where, tally):
    with warnings.catch_warnings(), small_writers():
        warnings.simplefilter("ignore")
        _save(damaged, Machine(files), where, tally)
        _mend(damaged, Machine(files), tally)


def _save(damaged, machine, where, tally):
    with machine.running():
        before = machine.contents()
        try:
            report = repair(PATH)
        except (
            CorruptError,
            UnsupportedVersionError,
        ):  # no header is left, or one that looks like that of a later version
            tally["without a header"] += 1
            return
        _demand(machine.contents() == before, "looking wrote something")
        try:
            read = list(dsrecords.open(PATH, decode=damaged.decode))
        except DSRecordsError:
            read = None
        _demand(read is not None or report.problems, "nothing is wrong, but it cannot be read")
        again = repair(PATH, SAVED)
        left = {path: data for path, data in machine.contents().items() if path in before}
        _demand(
            left == before and set(machine.names) == {*before, SAVED, SAVED[:-3] + "idx"},
            "the original was touched",
        )
        with dsrecords.open(SAVED, decode=damaged.decode) as saved:
            found = list(saved)
            _demand(saved.check() == [], "what was saved is not whole")
        _demand(
            len(found) == report.records == again.records, "another number of records was promised"
        )
        _demand(
            all(any(same(row, known) for known in damaged.known) for row in found),
            "a record was invented",
        )
        if read is not None:
            # A last frame whose kind or size is damaged is, to a reader, one that was not written to its end: repair can find out more.
            cut = any("what a killed writer left" in str(problem) for problem in report.problems)
            begins = found[: len(read)] if cut else found
            _demand(same(begins, read), "what can be read was not saved as it is read")
        tally["records saved"] += len(found)
        owners = {
            damaged.owner(at)[0]
            for _, path, start, size in where
            for at in range(start, start + size)
            if path == PATH
        }
        alone = len(where) == 1 and where[0][0] != "swapped blocks" and len(owners) == 1
        if alone and None not in owners:
            (hurt,) = owners
            (_, _, start, size), *_ = where
            _look_at_one(damaged, INDEX in machine.names, found, report.lost, hurt, start, size)
            tally["one record damaged"] += 1


def _look_at_one(damaged, has_index, found, lost, hurt, start, size):
    """Demand what must be saved where so many bytes of one record are damaged, and nothing else."""
    offset = damaged.places[hurt][0]
    restored = offset + 4 <= start and start + size <= offset + 16
    named = start >= offset + 16 and offset % 512 <= 496
    is_last = hurt == len(damaged.rows) - 1  # then there is none that names it
    rest = [row for i, row in enumerate(damaged.rows) if i != hurt]
    if restored:
        _demand(same(found, damaged.rows), "what the first bytes must be was not found out")
    elif has_index or named or damaged.grown:
        is_told_of = has_index or (named and not is_last)
        _demand(
            same(found, damaged.rows)
            or (same(found, rest) and (lost == [hurt] or (not is_told_of and not lost))),
            "a whole record was not saved",
        )


def _mend(damaged, machine, tally):
    with machine.running():
        before = machine.contents()
        try:
            repair(PATH, in_place=True)
        except DSRecordsError:
            _demand(machine.contents() == before, "it was refused, and yet something was changed")
            tally["refused in place, untouched"] += 1
            return
        mended = machine.contents()
        again = repair(PATH, in_place=True)
        _demand(not again.problems, f"mended, but {again.problems}")
        _demand(machine.contents() == mended, "mending twice is not mending once")
        found = list(dsrecords.open(PATH, decode=damaged.decode))
        _demand(
            any(same(found, state) for state in damaged.states), "mended to a list that never was"
        )
        tally["mended in place"] += 1


def _demand(condition, what):
    if not condition:
        raise LostError(what)
