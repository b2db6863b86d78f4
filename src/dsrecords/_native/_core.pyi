# What the compiled module has. The sources in native/ say what it does.

from collections.abc import Callable
from typing import Any

class Entries:
    mapped_words: memoryview
    direct: int
    row_size: int
    salt: int

class Verified:
    bits: memoryview

class Snapshot:
    data: memoryview
    entries: Any
    verified: Any
    schema: Any
    first_offset: int
    seed: int
    mode: int

class Reader:
    def __new__(
        cls,
        schema: Any,
        keys: tuple[Any, ...],
        steps: tuple[Any, ...],
        slowly: Callable[[Any, int], Any],
        head_size: int,
        payload_count: int,
        payloads: int,
        need: int,
        mask: int,
        proven: int,
        shape: int,
        copied: bool,
        /,
    ) -> Reader: ...
    def read(self, snapshot: Any, index: Any, /) -> Any: ...
    def read_many(self, snapshot: Any, positions: Any, /) -> list[Any]: ...

def crc32(data: Any, crc: int = 0, way: int = ..., /) -> int: ...
def crc32_ways() -> tuple[str, ...]: ...
def frame_checks(*arguments: Any) -> None: ...
def pack_records(*arguments: Any) -> tuple[bytes, bytes, int] | None: ...
def walk(*arguments: Any) -> tuple[int, int, int, int]: ...
def gather_numbers(*arguments: Any) -> int: ...
def gather_heads(*arguments: Any) -> int: ...
def copy_payloads(*arguments: Any) -> int: ...
def load_payloads(*arguments: Any) -> list[Any] | int: ...
def permute(*arguments: Any) -> None: ...
