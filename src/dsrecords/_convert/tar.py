"""Tar archives, read so that damage is noticed.

The standard library's `tarfile` ends without an error where a header is damaged, or where an
archive was cut short between two files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

_BLOCK = 512
_REGULAR = (b"0", b"\0", b"7")
_GNU_NAME = b"L"
_PAX = b"x"
_LONGEST_EXTENSION = 2**20  # bytes of a long name, or of a pax header
_ZEROS = bytes(_BLOCK)


class TarError(ValueError):
    """An archive that is damaged.

    Attributes:
        offset: of the header, in bytes.
    """

    def __init__(
        self,
        problem: str,
        offset: int,
    ) -> None:
        super().__init__(problem)
        self.offset = offset


class Member(NamedTuple):
    """A file of an archive.

    Attributes:
        name: its path.
        size: in bytes.
        offset: of its header.
    """

    name: str
    size: int
    offset: int


class TarReader:
    """Reads an archive from its beginning to its end.

    Args:
        file: open for reading; it may be a stream.
        size: of the file, if it is known; then nothing that it does not have is asked for.
    """

    def __init__(
        self,
        file: IO[bytes],
        size: int | None,
    ) -> None:
        self._file = file
        self._size = size
        self._offset = 0
        self._left = 0  # bytes of the member that are not read yet, and its padding

    def members(self) -> Iterator[Member]:
        """Return the regular files. `read` gives the contents of the one that was returned last.

        Raises:
            TarError: a header is damaged, or the archive is cut short.
        """
        name = ""
        said: dict[str, str] = {}
        while True:
            self._skip()
            start = self._offset
            header = self._exactly(_BLOCK, "it ends without its two blocks of zeros: cut short?")
            if header == _ZEROS:
                return
            size = _size_of(header, start)
            kind = header[156:157]
            if "size" in said:
                size = _number(said["size"], start)
            if kind in _REGULAR:
                stated = said.get("path") or name or _name_of(header)
                self._begin(size, start)
                yield Member(
                    stated,
                    size,
                    start,
                )
                name = ""
                said = {}
            elif kind in (_GNU_NAME, _PAX):
                data = self._extension(size, start)
                if kind == _GNU_NAME:
                    name = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
                else:
                    said = _pax(data, start)
            else:
                self._begin(size, start)

    def read(self, member: Member) -> bytes:
        """Return the contents of the member that was returned last. Raises TarError."""
        data = self._exactly(member.size, f"{member.name} is cut short")
        self._left -= member.size
        return data

    def _begin(
        self,
        size: int,
        start: int,
    ) -> None:
        if self._size is not None and self._offset + size > self._size:
            raise TarError("a file is cut short, or its size is damaged", start)
        self._left = -(-size // _BLOCK) * _BLOCK

    def _extension(
        self,
        size: int,
        start: int,
    ) -> bytes:
        if size > _LONGEST_EXTENSION:
            raise TarError(f"a name has {size} bytes", start)
        self._begin(size, start)
        data = self._exactly(size, "a name is cut short")
        self._left -= size
        return data

    def _exactly(
        self,
        size: int,
        problem: str,
    ) -> bytes:
        if self._size is not None and self._offset + size > self._size:
            raise TarError(problem, self._offset)
        data = self._file.read(size)
        if len(data) < size:
            raise TarError(problem, self._offset)
        self._offset += size
        return data

    def _skip(self) -> None:
        if not self._left:
            return
        if self._size is not None:
            self._file.seek(self._left, 1)
        else:
            left = self._left
            while left > 0:
                block = self._file.read(min(left, 2**20))
                if not block:
                    raise TarError("a file is cut short", self._offset)
                left -= len(block)
        self._offset += self._left
        self._left = 0


def _size_of(header: bytes, offset: int) -> int:
    """Return the size of a file, by a header whose checksum is verified."""
    total = sum(header) - sum(header[148:156]) + 8 * 32
    if _octal(header[148:156], offset) != total:
        raise TarError("the checksum of a header is wrong", offset)
    field = header[124:136]
    if field[0] & 0x80:  # GNU: a number of 11 bytes
        return int.from_bytes(field[1:], "big")
    return _octal(field, offset)


def _octal(field: bytes, offset: int) -> int:
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise TarError("a header has no number where one belongs", offset) from None


def _number(text: str, offset: int) -> int:
    if not text.isascii() or not text.isdigit():
        raise TarError(f"a pax header has the size {text[:20]!r}", offset)
    return int(text)


def _name_of(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0]
    if prefix and header[257:262] == b"ustar" and header[257:265] != b"ustar  \0":
        name = prefix + b"/" + name
    return name.decode("utf-8", "surrogateescape")


def _pax(data: bytes, offset: int) -> dict[str, str]:
    """Return what a pax header says: records of their length, a key and a value."""
    found = {}
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or len(length) > 7 or not 0 < int(length) <= len(data):
            raise TarError("a pax header is damaged", offset)
        record = data[len(length) + 1 : int(length) - 1]
        data = data[int(length) :]
        key, _, value = record.partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
    return found
