"""What tests/golden/manifest.json says, and how: values as JSON. tests/golden/README.md describes it for readers in any language.

Nothing of the library is imported.
"""

import json
import math
import re
import struct
from pathlib import Path
from zlib import crc32

import golden_by_hand
import ml_dtypes
import numpy as np
import read_by_hand

GOLDEN = Path(__file__).parent / "golden"
BY_HAND = "by_hand"
MANIFEST = "manifest.json"
LONGEST_HEX = 48  # bytes; longer payloads are given by their size and checksum
LARGEST_INTEGER = 2**53  # that every JSON parser reads exactly
COMPLEX = ("complex64", "complex128")
FLOATS = ("float16", "float32", "float64", "bfloat16")


# Values as JSON


def integer(value):
    value = int(value)
    return value if abs(value) <= LARGEST_INTEGER else str(value)


def floating(value):
    value = float(value)
    if not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0):
        return repr(value)
    return value


def payload(data):
    """A payload as it is stored."""
    if len(data) <= LONGEST_HEX:
        return {"hex": data.hex()}
    return {"size": len(data), "crc32": f"{crc32(data):08x}"}


def stored(value):
    """A stored value: a number, the bytes of a payload, or None."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return payload(value)
    return floating(value) if isinstance(value, float) else integer(value)


def dtype_of(name):
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def array(value):
    """An array: its bytes are those of the values in C order."""
    if value.dtype == ml_dtypes.bfloat16:
        kind = "bfloat16"
    else:
        kind = value.dtype.str if value.dtype.names is None else listed(value.dtype.descr)
    return {"dtype": kind, "shape": list(value.shape), **payload(value.tobytes())}


def listed(value):
    """Tuples as lists, as JSON has them."""
    return [listed(one) for one in value] if isinstance(value, (list, tuple)) else value


def parts_of(text):
    """What commas separate, outside of brackets and quotes."""
    parts, depth, quoted, first, escaped = [], 0, False, 0, False
    for at, character in enumerate(text):
        if quoted:
            quoted = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            quoted = True
        elif character in "[({":
            depth += 1
        elif character in "])}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[first:at])
            first = at + 1
    return [*parts, text[first:]]


def struct_fields(kind):
    """Names and types of a struct; none of the golden files quotes a name."""
    return dict(part.split(":", 1) for part in parts_of(kind[1:-1]))


def plain(kind, value):
    """A value of a type as JSON; None for what has no `?` cannot be."""
    if kind.endswith("?"):
        return None if value is None else plain(kind[:-1], value)
    if kind.startswith("{"):
        fields = struct_fields(kind)
        return {name: plain(inner, value[name]) for name, inner in fields.items()}
    word, _, rest = kind.replace("(", "[", 1).partition("[")
    if word == "list":
        return [plain(rest[:-1], item) for item in value]
    if word == "map":
        return {key: plain(rest[:-1], item) for key, item in value.items()}
    if word == "file":
        return {"suffix": value.suffix, **payload(bytes(value.data))}
    if word == "zstd":
        return plain(parts_of(rest[:-1])[0], value)
    if word == "datetime64":
        return str(np.datetime64(value, parts_of(rest[:-1])[0]))
    if word == "timedelta64":
        count = np.timedelta64(value, rest[:-1])
        return "NaT" if np.isnat(count) else integer(count.astype(np.int64))
    if word == "array":
        return array(value)
    if rest and word in read_by_hand.CODES and word != "category":
        return array(np.asarray(value, dtype_of(word)))
    if word == "bool":
        return bool(value)
    if word in COMPLEX:
        number = dtype_of(word).type(value)
        return [floating(number.real), floating(number.imag)]
    if word in FLOATS:
        return floating(dtype_of(word).type(value))
    if word in read_by_hand.CODES and word != "category":
        return integer(value)
    return payload(value) if isinstance(value, bytes) else value


def is_described(kind):
    """Whether the page describes the bytes of a type, or leaves them to another format."""
    return (
        re.search(r"\b(jpeg|png|webp|image|audio|video|msgpack|protobuf|custom|ext)\b", kind)
        is None
    )


def decoded(kind, value):
    """The value of a stored one, for the few types of the files by hand."""
    if isinstance(value, bytes) and kind.rstrip("?") == "str":
        return value.decode()
    return stored(value)


# Entries of the manifest


def error_entry(error):
    names = ("class", "offset", "frame", "field")
    return {name: value for name, value in zip(names, error, strict=True) if value is not None}


def record_entry(record, kinds, values=None, unknown=()):
    """A record: its stored values, and what they mean. `kinds`: names of fields to their types."""
    if isinstance(record, golden_by_hand.Error):
        return {"error": error_entry(record)}
    meant = []
    for i, (name, kind) in enumerate(kinds.items()):
        if name in unknown and record[i] is not None:
            meant.append({"error": {"class": golden_by_hand.UNSUPPORTED}})
        elif values is not None and is_described(kind):
            meant.append(plain(kind, values[i]))
        else:
            meant.append(decoded(kind, record[i]))
    return {"stored": [stored(value) for value in record], "values": meant}


def kinds_of(header):
    """The fields of a header and their types."""
    return {field.get("name", i): field["type"] for i, field in enumerate(header.fields)}


def contents_entry(header, records, metadata, values=None, unknown=()):
    """What is in a file that can be read."""
    kinds = kinds_of(header)
    has_names = all(isinstance(name, str) for name in kinds)
    fields = [[name if has_names else None, kind] for name, kind in kinds.items()]
    entries = []
    for i, record in enumerate(records):
        of_record = None if values is None else values[i]
        entries.append(record_entry(record, kinds, of_record, unknown))
    of_user = {"metadata": metadata}
    if isinstance(metadata, golden_by_hand.Error):
        of_user = {"metadata_error": error_entry(metadata)}
    return {"fields": fields, **of_user, "records": entries}


def golden_entry(path, about, rows=None, index=None, view=None):
    """The entry of a file that the library made. `rows`: the samples that it was made from, where they are all there is."""
    idx = None if view is None else (path.parent / view).read_bytes()
    log = read_by_hand.Log(path.read_bytes(), view=idx)
    records = [log.record(i) for i in range(len(log.places))]
    values = rows and [list(row.values()) if isinstance(row, dict) else row for row in rows]
    files = {"log": path.name}
    if index is not None:
        files["index"] = index
    if view is not None:
        files["view"] = view
    name = path.stem if view is None else Path(view).stem
    return {
        "name": name,
        "about": about,
        **files,
        **contents_entry(log.header, records, log.metadata(), values),
    }


def by_hand_entry(made, case):
    """The entry of a file that was made by hand."""
    entry = {"name": made.name, "about": made.about, "log": f"{BY_HAND}/{made.name}.rec"}
    if case.index is not None:
        entry["index"] = f"{BY_HAND}/{made.name}.idx"
    if case.view is not None:
        entry["view"] = f"{BY_HAND}/{made.name}.view.idx"
    if made.crafted:
        entry["crafted"] = True
    if case.warns:
        entry["warning"] = True
    if case.error is not None:
        return {**entry, "error": error_entry(case.error)}
    header = read_by_hand.Header(case.log)
    contents = contents_entry(header, case.records, case.metadata, unknown=case.unknown)
    return {**entry, **contents}


def write_by_hand(folder):
    """Write the files that are made by hand. Returns their entries."""
    folder = folder / BY_HAND
    folder.mkdir(exist_ok=True)
    entries = []
    for made in golden_by_hand.CASES:
        case = made.make()
        (folder / f"{made.name}.rec").write_bytes(case.log)
        if case.index is not None:
            (folder / f"{made.name}.idx").write_bytes(case.index)
        if case.view is not None:
            (folder / f"{made.name}.view.idx").write_bytes(case.view)
        entries.append(by_hand_entry(made, case))
    return entries


def manifest_text(entries):
    """The manifest: each record on a line of its own."""
    cases = []
    for entry in entries:
        lines = []
        for key, value in entry.items():
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            if key == "records" and value:
                records = [json.dumps(one, ensure_ascii=False, allow_nan=False) for one in value]
                text = "[\n    " + ",\n    ".join(records) + "\n  ]"
            lines.append(f"  {json.dumps(key)}: {text}")
        cases.append("{\n" + ",\n".join(lines) + "\n}")
    return '{"format": 2, "cases": [\n' + ",\n".join(cases) + "\n]}\n"


def read_manifest():
    return json.loads((GOLDEN / MANIFEST).read_text(encoding="utf-8"))["cases"]


def file_of(case, key):
    return GOLDEN / case[key] if key in case else None


def bytes_of(case, key):
    path = file_of(case, key)
    return None if path is None else path.read_bytes()


# Damaged files


def hurt(rng, data):
    """A file with a flipped bit, cut off, with zeros or other bytes of its own somewhere, or with more behind it."""
    start = 4096 if len(data) > 4096 and rng.random() < 0.9 else 0
    at, other = (rng.randrange(start, len(data)) for _ in range(2))
    size = rng.choice([8, 16, 24, 48])
    how = rng.randrange(6)
    if how < 2:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if how == 2:
        return data[:at]
    at, other = at & -8, other & -8
    if how == 3:
        return data[:at] + bytes(size) + data[at + size :]
    if how == 4:
        return data[:at] + data[other : other + size] + data[at + size :]
    return data + data[other:]


def hurt_slot(rng, idx):
    """An index with a flipped bit in a slot, whose checksum is right all the same."""
    at = rng.choice([0, 4096])
    slot = bytearray(idx[at : at + 128])
    slot[rng.randrange(12, 128)] ^= 1 << rng.randrange(8)
    slot[8:12] = struct.pack("<I", crc32(slot[12:]))
    return idx[:at] + bytes(slot) + idx[at + 128 :]


def hurt_files(rng, case):
    """The files of a case, one of them damaged, by their keys."""
    files = {key: bytes_of(case, key) for key in ("log", "index", "view") if key in case}
    key = rng.choice(list(files))
    is_index = key != "log" and len(files[key]) > 8192
    if files[key]:
        damage = hurt_slot if is_index and rng.random() < 0.3 else hurt
        files[key] = damage(rng, files[key])
    return files
