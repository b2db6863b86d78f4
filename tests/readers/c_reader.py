"""The reader in C, compiled, and what it prints as Python reads it."""

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import read_by_hand
from conformance import stored

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("print_dsrecords.c")
COMPILER = shutil.which(os.environ.get("CC", "cc"))
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"]


def compile_reader(folder, *options):
    """The path of the program, compiled without a warning."""
    program = folder / "print_dsrecords"
    command = [COMPILER, *STRICT, "-O1", *options, f"-I{ROOT / 'c'}", PROGRAM, "-o", program]
    subprocess.run([str(part) for part in command], check=True, timeout=300)
    return program


def run(program, mode, files):
    """The lines that it prints of some files: {"log": …, "index": … or "view": …}, as paths."""
    command = [program, mode, files["log"]]
    if "view" in files:
        command += [files["view"], "view"]
    elif "index" in files:
        command.append(files["index"])
    done = subprocess.run([str(part) for part in command], capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


class Found:
    """What the program found in a file.

    Attributes:
        error: why the file is refused, or None.
        fields, metadata, metadata_error, warns: as a case of the manifest has them.
        records: of each record the stored values, as the manifest has them, or its error as a dict.
    """

    def __init__(self, program, files):
        lines = [json.loads(line) for line in run(program, "show", files)]
        self.error = lines[0].get("error")
        if self.error is not None:
            return
        first, metadata, *records = lines
        self.fields = first["fields"]
        self.warns = bool(first["warns"])
        self.metadata = metadata.get("metadata")
        self.metadata_error = metadata.get("error")
        self.records = [self._record(line) for line in records]
        assert len(self.records) == first["count"]

    def _record(self, line):
        if "error" in line:
            return line["error"]
        pairs = zip(self.fields, line["record"], strict=True)
        return [_stored(kind, text) for (_, kind), text in pairs]


def _stored(kind, text):
    """A value as the manifest has it, from its bytes in hexadecimal."""
    if text is None:
        return None
    data = bytes.fromhex(text)
    code = read_by_hand.CODES.get(read_by_hand.scalar_of({"type": kind}))
    is_scalar = code is not None and len(data) == struct.calcsize(code) and not _is_shaped(kind)
    return stored(struct.unpack("<" + code, data)[0] if is_scalar else data)


def _is_shaped(kind):
    shape = kind.rstrip("?").rpartition("[")[2].rstrip("]")
    return shape != "" and set(shape) <= set("0123456789,*")
