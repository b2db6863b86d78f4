"""Print a DSRecords file by the standard library alone: read_dsrecords.py my_data.rec (docs/records-format.md)."""

import json
import sys
from struct import unpack, unpack_from
from zlib import crc32

RECORD, PENDING, COMMIT, REVISION, METADATA, NONE, TEXTS = 1, 2, 3, 4, 5, 2**64 - 1, ("str", "json")
NUMBERS = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 bfloat16 category"
CODES = dict(zip(f"{NUMBERS} datetime64 timedelta64 complex64 complex128".split(), [*"?bhiqBHIQefdHHqq", "8s", "16s"]))


def need(condition, at, wrong):
    return condition or sys.exit(f"{sys.argv[1]}, byte {at}: {wrong}")


def read_frame(at):  # its kind, size, check, prev, and the values of a record; None if there is no whole frame
    check, prev, word = unpack("<IIQ", data[at : at + 16].ljust(16, b"\0"))
    kind, size = word >> 48 & 0xFF, word & 2**48 - 1
    is_record = kind in (RECORD, PENDING, REVISION)
    head = header["head"] if is_record else 32 if kind >= 128 else size
    if word >> 56 != 0xD5 or at + size > len(data) or crc32(data[at + 4 : at + head], seed) ^ at // 8 % 2**32 != check:
        return None
    values = read_values(at, kind) if is_record else {}
    return None if values is None else (kind, size, check, prev, values)


def read_values(at, kind):  # numbers; strings and JSON as text, other payloads as bytes; None if one is damaged
    sizes, checksums = unpack_from(f"<{count}Q", data, at + 16), unpack_from(f"<{count}I", data, at + 16 + 8 * count)
    end = at + header["head"]  # of the head: there are the payloads, or the table that says where they are
    room = [0 if size == NONE else (size + 7) // 8 * 8 for size in sizes]
    offsets = unpack_from(f"<{count}Q", data, end) if kind == REVISION else [end + sum(room[:i]) for i in range(count)]
    payloads = [None if size == NONE else data[offset : offset + size] for offset, size in zip(offsets, sizes)]
    if [crc32(payload or b"") for payload in payloads] != [*checksums]:
        return None
    values = {}
    for i, field in enumerate(header["fields"]):
        value = payloads[field["payload"]] if "payload" in field else None
        if "at" in field and ("present" not in field or data[at + field["present"]]):
            (value,) = unpack_from("<" + CODES[field["type"]], data, at + field["at"])
        values[field.get("name", i)] = value.decode() if value is not None and field["type"] in TEXTS else value
    return values


with open((sys.argv[1:] or sys.exit(__doc__))[0], "rb") as file:
    data = file.read()
need(data[:8] == b"\x89DSR\r\n\x1a\n", 0, "not a DSRecords file")
prev, version, flags, at, length, id = unpack("<IHBxII16s", data[8:40].ljust(32))
need(version == 2 and flags == 0, 12, f"version {version} with the read flags {flags} needs another version")
need(crc32(data[12:at]) == prev, 8, "the header is damaged or cut short")
header, seed = json.loads(data[40 : 40 + length]), crc32(id)
for field in header["fields"]:
    field["type"] = field["type"].rstrip("?").split("[")[0]
    need("payload" in field or field["type"] in CODES, 40, f"the type {field['type']} needs another version")
count, metadata = sum("payload" in field for field in header["fields"]), header.get("metadata", {})
records, pending, total = [], [], 0  # total: the crc32 of the checks of the pending frames
while frame := read_frame(at):
    kind, size, check, prev_here, values = frame
    need(not METADATA < kind < 128 or prev_here not in (prev, 0), at, f"frames of kind {kind} need another version")
    pending += [values] if values else []
    if kind in (PENDING, REVISION):
        total = crc32(data[at : at + 4], total)
    else:
        need(prev_here == prev, at, "the frame does not follow the one before it")
        records += pending
        metadata = json.loads(data[at + 24 : at + size].rstrip(b"\0")) if kind == METADATA else metadata
        if kind == COMMIT:
            checksum, op, *numbers = unpack_from(f"<II{size // 8 - 5}Q", data, at + 32)
            need(checksum == total, at, "a commit of other frames")
            need(op <= 2, at, f"edits of kind {op} need another version")
            for position in numbers if op == 1 else []:  # take_last
                records[position] = records[-1]
                del records[-1]
            for i in range(len(numbers) - 2, -1, -2) if op == 2 else []:  # delete
                del records[numbers[i] : numbers[i + 1]]
        pending, total, prev = [], 0, check
    at += size
behind = {frame[0] for place in range(at + 8, len(data), 8) if (frame := read_frame(place))}
need(behind <= {PENDING, REVISION}, at, "no whole frame is here, but some follow")  # else a killed writer left it
print(*([f"metadata {metadata}"] if metadata else []), *enumerate(records), sep="\n")
