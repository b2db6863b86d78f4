"""Pascal VOC: a folder of pictures, and one of XML files that say what is in them."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from dsrecords._convert.base import Format, Look, Options, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.paths import below, category_or_str

_ANNOTATIONS = "Annotations"
_PICTURES = "JPEGImages"
_SPLITS = ("ImageSets", "Main")
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_LONGEST = 2**22  # bytes of an XML file
_PROBLEMS = (ElementTree.ParseError, ValueError, OSError)


class VocSource(Source):
    """A folder of Pascal VOC: a row for each XML file, in the order of their names.

    Args:
        path: of the folder.
        split: the name of a list of `ImageSets/Main`, or None for all pictures.
    """

    def __init__(
        self,
        path: str,
        split: str | None,
    ) -> None:
        super().__init__(path)
        self._names = self._listed(split)
        self.count = len(self._names)

    def _listed(self, split: str | None) -> list[str]:
        if split is None:
            names = os.listdir(os.path.join(self.path, _ANNOTATIONS))
            return sorted(name[:-4] for name in names if name.endswith(".xml"))
        folder = os.path.join(self.path, *_SPLITS)
        path = below(folder, f"{split}.txt")
        if not os.path.isfile(path):
            there = sorted(name[:-4] for name in os.listdir(folder) if name.endswith(".txt"))
            listed = ", ".join(there[:20])
            raise ValueError(f"there is no split {split!r} of {self.path}; there are: {listed}")
        with open(path, encoding="utf-8") as file:
            return [line.split()[0] for line in file if line.strip()]

    def types(self) -> dict[str, Any]:
        """Return the picture, and its objects; all files are read to know the classes."""
        classes: set[str] = set()
        for name in self._names:
            try:
                annotation = self._annotation(name)
            except _PROBLEMS:  # which is told of when the rows are read
                continue
            classes.update(one["category"] for one in annotation["objects"])
        parts = {
            "bbox": "float64[4]",
            "category": category_or_str(sorted(classes)) if classes else "str",
            "difficult": "bool?",
            "truncated": "bool?",
            "pose": "str?",
        }
        return {
            "image": "image",
            "name": "str",
            "objects": [parts],
        }

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the rows; pictures as paths, which are read when they are encoded."""
        for name in self._names:
            try:
                yield self._annotation(name)
            except _PROBLEMS as error:
                path = os.path.join(
                    self.path,
                    _ANNOTATIONS,
                    f"{name}.xml",
                )
                damage.leave_out(unreadable(path, error))

    def _annotation(self, name: str) -> dict[str, Any]:
        path = below(os.path.join(self.path, _ANNOTATIONS), f"{name}.xml")
        with open(path, "rb") as file:
            data = file.read(_LONGEST + 1)
        if len(data) > _LONGEST:
            raise ValueError(f"it has more than {_LONGEST} bytes")
        if b"<!" in data.replace(b"<!--", b""):
            raise ValueError("it declares entities or a document type, which is not read")
        root = ElementTree.fromstring(data)
        picture = root.findtext("filename") or f"{name}.jpg"
        return {
            "image": below(os.path.join(self.path, _PICTURES), picture),
            "name": picture,
            "objects": [_object(element) for element in root.iter("object")],
        }


def _object(element: ElementTree.Element) -> dict[str, Any]:
    box = element.find("bndbox")
    name = element.findtext("name")
    if box is None or name is None:
        raise ValueError("an object has no bndbox or no name")
    return {
        "bbox": [float(box.findtext(side) or "") for side in _SIDES],
        "category": name.strip(),
        "difficult": _flag(element.findtext("difficult")),
        "truncated": _flag(element.findtext("truncated")),
        "pose": element.findtext("pose"),
    }


def _flag(text: str | None) -> bool | None:
    if text is None:
        return None
    return text.strip() == "1"


class Voc(Format):
    """Pascal VOC."""

    name = "voc"
    title = "Pascal VOC"
    reads: ClassVar[Mapping[str, str]] = {
        "split": "the name of a list of ImageSets/Main, such as 'train'"
    }

    def recognizes(self, look: Look) -> bool:
        """Return whether it has the two folders."""
        return look.is_folder and _ANNOTATIONS in look.names and _PICTURES in look.names

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a folder."""
        return VocSource(path, options.get("split"))


FORMAT = Voc()
