"""A dataset of ten million records that takes some kilobytes: holes, but for the records that a test looks at."""

import os
import struct

import bytes_by_hand

COUNT = 10_000_000
FRAME = 24  # bytes, of a record of one int64
WRITTEN = 500  # records at the beginning, in the middle and at the end
STARTS = (0, COUNT // 2, COUNT - WRITTEN)
SALT = 7


def write_many(path):
    """A `.rec` and its `.idx` of COUNT records, of which record i has the number i; those within the holes are damaged."""
    log = bytes_by_hand.Log()
    first = len(log.data)
    row_size = 8 + FRAME
    rows_at = 8192 + first
    with open(path, "wb") as rec, open(path.with_suffix(".idx"), "wb") as idx:
        rec.write(log.data)
        for start in STARTS:
            rec.seek(first + FRAME * start)
            idx.seek(rows_at + row_size * start)
            for number in range(start, start + WRITTEN):
                offset = first + FRAME * number
                frame = frame_of(number, offset)
                rec.write(frame)
                check = int.from_bytes(frame[:4], "little")
                place = bytes_by_hand.Place(offset, FRAME, check)
                idx.write(bytes_by_hand.long_row(number, place, frame, SALT))
        end = rec.tell()
        idx.seek(8192)
        idx.write(log.data)
        idx.seek(0)
        idx.write(
            bytes_by_hand.slot(
                count=COUNT,
                covered=end,
                last=end - FRAME,
                check=check,
                base=rows_at,
                row=row_size,
                salt=SALT,
                end=end,
            )
        )
    assert os.path.getsize(path) == first + FRAME * COUNT


def frame_of(number, offset):
    word = FRAME | bytes_by_hand.RECORD << 48 | bytes_by_hand.MARK << 56
    covered = struct.pack("<IQq", 0, word, number)
    check = bytes_by_hand.frame_check(bytes_by_hand.ID, covered, offset)
    return struct.pack("<I", check) + covered
