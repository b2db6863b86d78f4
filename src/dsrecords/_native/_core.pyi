# What the compiled module has. The sources in native/ say what it does.

from collections.abc import Callable, Iterator
from typing import Any

class Entries:
    mapped_words: memoryview
    direct: int
    row_size: int
    salt: int
    kept: int
    used: int
    appended: Any

class Verified:
    bits: memoryview

class Snapshot:
    data: memoryview
    entries: Any
    verified: Any
    schema: Any
    log: Any
    _mark: Any
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
    def samples(self, snapshot: Any, positions: Any, /) -> Run: ...

class Run(Iterator[Any]):
    @property
    def done(self) -> int: ...
    def __next__(self) -> Any: ...

class Dataset:
    _reading: Any
    transform: Any
    def __getitem__(self, key: Any, /) -> Any: ...

class Reading:
    whole: Any
    read: Any

class Gate:
    _holder: Any
    after: Any

class Writer:
    gate: Any
    state: Any
    _file: Any
    _why_stopped: str
    _interrupted: bool
    _is_log_durable: bool
    _checkpoints: bool
    _unpublished_frames: int
    _unpublished_bytes: int
    _most_unpublished_frames: int
    _most_unpublished_bytes: int

class Block:
    size: int
    given: int
    def __len__(self) -> int: ...
    def fill(self, iterator: Any, records: int, bytes: int, /) -> tuple[int, Any]: ...
    def add(self, numbers: Any, payloads: Any, /) -> None: ...
    def add_columns(
        self,
        first: int,
        stop: int,
        bytes: int,
        numbers: tuple[Any, ...],
        payloads: tuple[Any, ...],
        /,
    ) -> int: ...
    def finish(
        self, kind: int, prev: int, seed: int, offset: int, width: int, /
    ) -> tuple[list[Any], bytes, int]: ...

class Encoder:
    def __new__(
        cls,
        ways: tuple[Any, ...],
        is_named: bool,
        head_size: int,
        payload_count: int,
        pack: Any,
        functions: tuple[Any, ...],
        array: type,
        /,
    ) -> Encoder: ...
    def block(self) -> Block: ...
    def append(self, writer: Any, sample: Any, /) -> Block | bool | None: ...
    def write(self, writer: Any, block: Block, /) -> bool: ...

def crc32(data: Any, crc: int = 0, way: int = ..., /) -> int: ...
def crc32_ways() -> tuple[str, ...]: ...
def frame_checks(*arguments: Any) -> None: ...
def pack_records(*arguments: Any) -> tuple[bytes, bytes, int] | None: ...
def encode_strings(values: list[Any], /) -> list[bytes] | None: ...
def walk(*arguments: Any) -> tuple[int, int, int, int]: ...
def gather_numbers(*arguments: Any) -> int: ...
def gather_heads(*arguments: Any) -> int: ...
def copy_payloads(*arguments: Any) -> int: ...
def load_payloads(*arguments: Any) -> list[Any] | int: ...
def will_need(mapping: Any, start: int, length: int, /) -> None: ...
def page_in_memory(mapping: Any, offset: int, /) -> bool: ...
def permute(*arguments: Any) -> None: ...
