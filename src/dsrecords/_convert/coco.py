"""COCO: a JSON file of annotations, and the folder of the pictures that it names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from dsrecords._convert.base import Format, Look, Options, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.paths import below, category_or_str

_ANNOTATIONS = "annotations"
_FIELDS = {
    "id": "int64?",
    "area": "float64?",
    "iscrowd": "bool?",
    "segmentation": "json?",
    "keypoints": "json?",
}
"""Of an annotation, beside its box and its category: those that any of them has."""


class CocoSource(Source):
    """The annotations of COCO, which are in memory as JSON: a row for each picture.

    Args:
        path: of the JSON file.
        images: the folder of the pictures; None: where COCO has it.
    """

    def __init__(
        self,
        path: str,
        images: str | None,
    ) -> None:
        super().__init__(path)
        said = self._said()
        self._images = said["images"]
        self.count = len(self._images)
        self._names = {}
        for category in said.get("categories") or ():
            self._names[category["id"]] = str(category["name"])
        self._by_image: dict[Any, list[dict[str, Any]]] = {}
        for annotation in said[_ANNOTATIONS]:
            self._by_image.setdefault(annotation["image_id"], []).append(annotation)
        keys = {key for annotation in said[_ANNOTATIONS] for key in annotation}
        self._has_captions = "caption" in keys
        self._has_boxes = "bbox" in keys
        self._others = [key for key in _FIELDS if key in keys]
        self._folder = images or self._folder_of_images()
        self.metadata = {key: said[key] for key in ("info", "licenses") if key in said}

    def _said(self) -> dict[str, Any]:
        try:
            with open(self.path, "rb") as file:
                said = json.load(file)
            for key in ("images", _ANNOTATIONS):
                if not isinstance(said[key], list):
                    raise ValueError(f"{key!r} is no list")
                for item in said[key]:
                    if not isinstance(item, dict):
                        raise ValueError(f"{key!r} has {item!r}")
            for image in said["images"]:
                image["id"], image["file_name"]
            for annotation in said[_ANNOTATIONS]:
                hash(annotation["image_id"])
            for category in said.get("categories") or ():
                hash(category["id"]), category["name"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            problem = f"it is no JSON of COCO: {type(error).__name__}: {error}"
            raise unreadable(
                self.path,
                problem,
            ) from None
        found: dict[str, Any] = said
        return found

    def _folder_of_images(self) -> str:
        """Return the folder in which the first picture is."""
        here = os.path.dirname(os.path.abspath(self.path))
        above = os.path.dirname(here)
        stem, _ = os.path.splitext(os.path.basename(self.path))
        split = stem.rpartition("_")[2]
        places = [here]
        for root in (here, above):
            places += [os.path.join(root, name) for name in ("images", split)]
            places.append(os.path.join(root, "images", split))
        for place in places:
            if self._images and os.path.isfile(below(place, self._images[0]["file_name"])):
                return place
        return here

    def types(self) -> dict[str, Any]:
        """Return the picture, what is known of it, and the annotations as a list of structs."""
        types: dict[str, Any] = {
            "image": "image",
            "image_id": "int64",
            "name": "str",
        }
        if not all(isinstance(image["id"], int) for image in self._images):
            types["image_id"] = "json"
        if self._has_captions:
            types["captions"] = "list[str]"
        if self._has_boxes:
            parts = {"bbox": "float64[4]"}
            if self._names:
                parts["category"] = category_or_str(list(self._names.values()))
            for key in self._others:
                parts[key] = _FIELDS[key]
            types["objects"] = [parts]
        return types

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the rows; pictures as paths, which are read when they are encoded."""
        for image in self._images:
            annotations = self._by_image.get(
                image["id"],
                [],
            )
            name = image["file_name"]
            row: dict[str, Any] = {
                "image_id": image["id"],
                "name": name,
            }
            try:
                row["image"] = below(
                    self._folder,
                    name,
                )
                captions = [one["caption"] for one in annotations if "caption" in one]
                row["captions"] = captions
                row["objects"] = [self._object(one) for one in annotations if "bbox" in one]
            except (ValueError, KeyError, TypeError) as error:
                problem = f"image {image['id']!r}: {type(error).__name__}: {error}"
                damage.leave_out(unreadable(self.path, problem))
            else:
                yield row

    def _object(self, annotation: Mapping[str, Any]) -> dict[str, Any]:
        found = {"bbox": annotation["bbox"]}
        if self._names:
            found["category"] = self._names[annotation["category_id"]]
        for key in self._others:
            value = annotation.get(key)
            if key == "iscrowd" and value is not None:
                value = bool(value)
            found[key] = value
        return found


class Coco(Format):
    """The annotations of COCO."""

    name = "coco"
    title = "COCO"
    reads: ClassVar[Mapping[str, str]] = {
        "images": "the folder of the pictures, if it is not where COCO has it"
    }

    def recognizes(self, look: Look) -> bool:
        """Return whether it is JSON with keys of COCO."""
        head = look.head.lstrip()
        if not head.startswith(b"{") or not look.path.endswith(".json"):
            return False
        keys = (b'"images"', b'"annotations"', b'"categories"', b'"licenses"', b'"info"')
        return any(key in head for key in keys)

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Read a file."""
        return CocoSource(
            path,
            options.get("images"),
        )


FORMAT = Coco()
