"""`repair` after random damage; and what is planted into it is caught."""

import damage
import pytest
import salvage
from power_loss import LostError, Tally

from dsrecords._format.log import ScannedFrame
from dsrecords._read.open import State
from dsrecords._tools import repair as _repair
from dsrecords._tools import scan as _scan
from dsrecords._tools.chain import Chain
from dsrecords._tools.repair import _mend
from dsrecords._tools.salvage import Salvage
from dsrecords._write.writer import Writer

pytestmark = pytest.mark.slow

SEED = 20_261_122


@pytest.fixture(scope="module")
def small():
    return [damage.Damaged(*damage.made()), damage.Damaged(*damage.appended())]


def trials(small, count, first=0):
    tally = Tally()
    for number in range(first, first + count):
        salvage.trials(small[number % 2], tally, 1, SEED + number)
    return tally


@pytest.mark.exhaustive
def test_what_is_saved_was_written_and_what_is_refused_is_not_touched(small):
    tally = trials(small, 140)
    assert tally["records saved"] > 140
    assert min(tally["mended in place"], tally["refused in place, untouched"]) > 20


def recovered_first(path, index_path):
    writer = Writer(State(path, index_path, True, torn=True))
    writer.open()
    writer.close()
    _mend(path, index_path)


DEFECTS = {  # and from which trial on to look, as one in hundreds shows it: a day may come when another one does
    "records are saved without being verified": (
        Salvage,
        "_read_payload",
        lambda salvage, i, number, start, size, checksum: salvage._storage.read(start, size),
        0,
    ),
    "a frame that the next one names is not counted": (
        Chain,
        "_presumed",
        lambda chain, offset: ScannedFrame(offset, 0, 0, 0, 0, "", None, offset),
        520,
    ),
    "what cannot be mended is touched": (_repair, "_mend", recovered_first, 1340),
    "nothing behind damage is looked for": (_scan, "find_frame", lambda *arguments: None, 520),
}


@pytest.mark.usefixtures("by_python")  # the defect is one of Python
@pytest.mark.exhaustive
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect, small, monkeypatch):
    *patch, first = DEFECTS[defect]
    monkeypatch.setattr(*patch)
    with pytest.raises(LostError):
        trials(small, 3000, first)
