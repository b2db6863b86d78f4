"""What the endings of names say in WebDataset: types of fields, and what these are called."""

from __future__ import annotations

from collections.abc import Mapping

from dsrecords._convert.image_folder import PICTURES

KEY = "__key__"
TEXT = ("txt", "text", "transcript", "caption", "str")
INTEGERS = ("cls", "cls2", "index", "inx", "id", "count")
JSON = ("json", "jsn")
_SOUNDS = ("wav", "flac", "mp3", "ogg", "aiff", "au")
_VIDEOS = ("mp4", "mkv", "webm", "avi", "mov", "m4v")
_TYPES = (
    (TEXT, "str"),
    (INTEGERS, "int64"),
    (_SOUNDS, "audio"),
    (_VIDEOS, "video"),
    (JSON, "json"),
    (("npy",), "array"),
)


def type_of_ending(ending: str) -> str:
    """Return the type of files whose names end so."""
    last = ending.rpartition(".")[2]
    if f".{last}" in PICTURES:
        return "image"
    for endings, kind in _TYPES:
        if last in endings:
            return kind
    return "bytes"


class Endings:
    """The endings of names that samples have, and the fields that they stand for.

    Attributes:
        samples: how many there are.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._sets: dict[frozenset[str], int] = {}

    def learn(self, endings: set[str]) -> None:
        """Take a sample into account."""
        self.samples += 1
        key = frozenset(endings)
        self._sets[key] = (
            self._sets.get(
                key,
                0,
            )
            + 1
        )

    def fields(self) -> dict[str, str]:
        """Return the field of each ending.

        A field has the name of the ending without what says its type, where anything is left:
        "mask" for "mask.png", but "json" for "json". Pictures of several formats are one field,
        "image", if no sample has two. Where two fields would have one name, all have their endings.
        """
        endings = sorted({ending for some in self._sets for ending in some})
        found = {ending: _stem(ending) for ending in endings}
        pictures = [ending for ending in endings if f".{ending}" in PICTURES]
        if len(pictures) > 1:
            found.update(dict.fromkeys(pictures, "image"))
        if self._is_clear(found):
            return found
        return {ending: ending for ending in endings}

    def _is_clear(self, fields: Mapping[str, str]) -> bool:
        """Return whether no sample has two files of one field, and each field has one type."""
        for endings in self._sets:
            names = {fields[ending] for ending in endings}
            if len(names) < len(endings) or KEY in names:
                return False
        kinds: dict[str, str] = {}
        for ending, field in fields.items():
            kind = type_of_ending(ending)
            if kinds.setdefault(field, kind) != kind:
                return False
        return True

    def count_of(
        self,
        field: str,
        fields: Mapping[str, str],
    ) -> int:
        """Return how many samples have a field."""
        total = 0
        for endings, count in self._sets.items():
            if any(fields[ending] == field for ending in endings):
                total += count
        return total


def _stem(ending: str) -> str:
    stem, _, _ = ending.rpartition(".")
    if stem and type_of_ending(ending) != "bytes":
        return stem
    return ending
