"""Print a DSRecords file by the standard library alone: python read_dsrecords.py my_data.rec (docs/records-format.md)."""

import json
import struct
import sys
from zlib import crc32

NAMES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 bfloat16 category datetime64 timedelta64"


def need(condition, at, wrong):
    return condition or sys.exit(f"{sys.argv[1]}, byte {at}: {wrong}")


def read_record(at, size):  # numbers, texts and JSON as they are, other payloads by their length and checksum
    values, start = {}, at + header["head"]
    sizes_and_checksums = struct.unpack_from(f"<{payloads}Q{payloads}I", data, at + 16)
    for number, field in enumerate(header["fields"]):
        kind, value = field["type"].rstrip("?").split("[")[0], None
        if "at" in field and ("present" not in field or data[at + field["present"]]):
            (value,) = struct.unpack_from("<" + "?bhiqBHIQefdHHqq"[NAMES.split().index(kind)], data, at + field["at"])
        elif "payload" in field and (length := sizes_and_checksums[field["payload"]]) != 2**64 - 1:
            payload, checksum = data[start : start + length], sizes_and_checksums[payloads + field["payload"]]
            need(crc32(payload) == checksum, start, f"the checksum of field {field.get('name', number)!r} is wrong")
            value = payload.decode() if kind in ("str", "json") else f"{length} bytes, crc32 {checksum:08x}"
            start += (length + 7) & -8
        values[field.get("name", number)] = value
    return values if need(start == at + size, at, "the payloads do not fill the frame") else None


with open((sys.argv[1:] or sys.exit(__doc__))[0], "rb") as file:
    data = file.read()
need(data[:8] == b"\x89DSR\r\n\x1a\n" and data[12:16] == b"\1\0\0\0", 0, "not a DSRecords file of version 1")
checksum, at, length, id = struct.unpack("<I4xII16s", data[8:40].ljust(32))
need(40 + length <= at <= len(data) and crc32(data[12:at]) == checksum, 8, "the header's checksum is wrong")
header, records, pending = json.loads(data[40 : 40 + length]), [], []
payloads = sum("payload" in field for field in header["fields"])
while at < len(data):
    check, kind, size = struct.unpack("<IIQ", data[at : at + 16].ljust(16, b"\0"))
    head = header["head"] if kind in (1, 2) else size
    need(kind and 16 <= head <= size <= len(data) - at and size % 8 == 0, at, "no whole frame is here")
    need(crc32(data[at + 4 : at + head], crc32(id)) ^ at // 8 % 2**32 == check, at, "the frame's check is wrong")
    need(kind in (2, 3) or not pending, at, "the pending records before it have no commit")
    if kind == 1:
        records.append(read_record(at, size))
    elif kind == 2:
        pending.append((at, size))
    elif kind == 3:
        *batch, op = struct.unpack_from("<QQII", data, at + 16)
        checks = b"".join(data[place : place + 4] for place, _ in pending)
        need(batch == [min(pending, default=[at])[0], len(pending), crc32(checks)] and op < 3, at, "a commit of others")
        records, pending = [*records, *(read_record(*place) for place in pending)], []
        positions = struct.unpack_from(f"<{size // 8 - 5}Q", data, at + 40)
        for p in [(), positions, positions[::-1]][op]:
            need(p < len(records), at, "the edit is of a record that is not there")
            records[p] = records[-1] if op == 1 else None
            del records[-1 if op == 1 else p]
    at += size
print(*enumerate(records), sep="\n")
