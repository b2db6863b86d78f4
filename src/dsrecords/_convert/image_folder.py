"""Folders of pictures: classes as folders, captions and labels in files beside."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from dsrecords._convert.base import Format, Look, Options, Progress, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.exported import (
    FILES,
    ending_of,
    json_value,
    named,
    plain_name,
    types_by_name,
)
from dsrecords._convert.json_lines import JsonLinesSource
from dsrecords._convert.paths import below, category_or_str, safe_name
from dsrecords._convert.plain_types import PlainType
from dsrecords.errors import SchemaError

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

PICTURES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".jp2", ".avif", ".heic", ".ppm", ".pgm", ".tga", ".ico"),
)
SPLITS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
_METADATA = ("metadata.jsonl", "metadata.csv")
_FILE_NAME = "file_name"  # the column of such a file that names the picture
_LABEL = "label"
_NAME = "name"
_MOST_LABELS = 1000  # distinct strings, in such a file, that are classes
_CAPTION = ".txt"
_JSON = ".json"
_LONGEST = 2**24  # bytes of a caption


class _Picture(NamedTuple):
    """A picture of the folder.

    Attributes:
        name: its path within the folder.
        split: the name of the folder of its split, or None.
        label: the name of the folder of its class, or None.
        has_caption: whether there is a `.txt` beside it.
        has_json: whether there is a `.json` beside it.
    """

    name: str
    split: str | None
    label: str | None
    has_caption: bool
    has_json: bool


class ImageFolderSource(Source):
    """A folder of pictures: a row for each, in the order of their names."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        has_splits = _has_splits(path)
        self._pictures = list(_pictures_in(path, has_splits))
        if not self._pictures:
            raise unreadable(
                path,
                "there is no picture in it",
            )
        self.count = len(self._pictures)

    def types(self) -> dict[str, Any]:
        """Return the picture, its name, and what else there is of any."""
        pictures = self._pictures
        types: dict[str, Any] = {"image": "image"}
        labels = [picture.label for picture in pictures]
        if any(labels):
            types["label"] = category_or_str(labels)
        splits = [picture.split for picture in pictures]
        if any(splits):
            types["split"] = category_or_str(splits)
        captions = sum(picture.has_caption for picture in pictures)
        if captions:
            types["caption"] = "str" if captions == len(pictures) else "str?"
        others = sum(picture.has_json for picture in pictures)
        if others:
            types["metadata"] = "json" if others == len(pictures) else "json?"
        types["name"] = "str"
        return types

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the rows; pictures as paths, which are read when they are encoded."""
        for picture in self._pictures:
            path = os.path.join(
                self.path,
                picture.name,
            )
            row: dict[str, Any] = {
                "image": path,
                "name": picture.name,
            }
            row["label"] = picture.label
            row["split"] = picture.split
            root, _ = os.path.splitext(path)
            try:
                if "caption" in schema:
                    row["caption"] = _caption(root) if picture.has_caption else None
                if "metadata" in schema:
                    row["metadata"] = _json(root) if picture.has_json else None
            except (OSError, ValueError, RecursionError) as error:
                damage.leave_out(unreadable(f"{root}.*", error))
            else:
                yield row


def _caption(root: str) -> str:
    with open(root + _CAPTION, "rb") as file:
        data = file.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise ValueError(f"the caption has more than {_LONGEST} bytes")
    return data.decode("utf-8-sig").rstrip("\r\n")


def _json(root: str) -> Any:
    with open(root + _JSON, "rb") as file:
        data = file.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise ValueError(f"the JSON has more than {_LONGEST} bytes")
    return json.loads(data)


def _has_splits(path: str) -> bool:
    """Return whether all that is in a folder are the folders of splits."""
    with os.scandir(path) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    folders = [entry.name.lower() for entry in shown if entry.is_dir()]
    pictures = any(entry.name.lower().endswith(PICTURES) for entry in shown)
    return bool(folders) and not pictures and all(name in SPLITS for name in folders)


def _folders_in(root: str) -> Iterator[tuple[str, list[str]]]:
    """Return each folder below one, and the names of what is in it; no folder twice."""
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        status = os.stat(folder)
        key = (status.st_dev, status.st_ino)
        if key in seen:  # a link to a folder that has this one in it
            folders.clear()
            continue
        seen.add(key)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield folder, names


def _pictures_in(root: str, has_splits: bool) -> Iterator[_Picture]:
    for folder, names in _folders_in(root):
        parts = os.path.relpath(folder, root).split(os.sep)
        parts = [part for part in parts if part != os.curdir]
        split = None
        if has_splits and parts:
            split = parts.pop(0)
        label = None
        if parts:
            label = parts[0]
        there = set(names)
        for name in sorted(filter(_is_picture, names)):
            stem, _ = os.path.splitext(name)
            yield _Picture(
                os.path.relpath(os.path.join(folder, name), root),
                split,
                label,
                f"{stem}{_CAPTION}" in there,
                f"{stem}{_JSON}" in there,
            )


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES) and not name.startswith(".")


class MetadataSource(Source):
    """A folder of pictures with a file that has a row for each: `metadata.jsonl` or `.csv`.

    Pictures that no row names are left out.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._parts: list[tuple[str | None, str]] = []
        if _metadata_file(path):
            self._parts.append((None, path))
        else:
            for name in sorted(os.listdir(path)):
                folder = os.path.join(
                    path,
                    name,
                )
                if _metadata_file(folder):
                    self._parts.append((name, folder))

    def types(self) -> dict[str, Any]:
        """Return the picture, and the types that hold what the rows say of it."""
        known: dict[str, PlainType] = {}
        labels: set[str] = set()
        count = 0
        for _, _, said in self._said(Damage("skip")):
            count += 1
            for key, value in said.items():
                known.setdefault(key, PlainType()).learn(value)
            if isinstance(said.get(_LABEL), str):
                labels.add(said[_LABEL])
        if _FILE_NAME not in known:
            raise unreadable(
                self.path,
                f"no row of its metadata has a {_FILE_NAME}",
            )
        types: dict[str, Any] = {"image": "image"}
        splits = [split for split, _ in self._parts]
        if any(splits):
            types["split"] = category_or_str(splits)
        names = known.pop(_FILE_NAME)
        if _NAME not in known:
            known[_NAME] = names
        for key, kind in known.items():
            types[key] = kind.type(count)
        if types[_NAME] == "str?":  # where there is none, it is the name of the file
            types[_NAME] = "str"
        if types.get(_LABEL) == "str" and len(labels) <= _MOST_LABELS:
            types[_LABEL] = category_or_str(sorted(labels))
        return types

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the rows; pictures as paths, which are read when they are encoded."""
        for split, folder, said in self._said(damage):
            file_name = said.pop(_FILE_NAME, None)
            try:
                path = below(folder, file_name)
            except ValueError as error:
                damage.leave_out(unreadable(folder, error))
                continue
            name = said.get(_NAME)
            if name is None:
                name = file_name
            yield {
                **said,
                "image": path,
                _NAME: name,
                "split": split,
            }

    def _said(self, damage: Damage) -> Iterator[tuple[str | None, str, dict[str, Any]]]:
        for split, folder in self._parts:
            path = _metadata_file(folder)
            if path.endswith(".csv"):
                with open(path, encoding="utf-8-sig", newline="") as file:
                    for cells in csv.DictReader(file):
                        yield split, folder, {str(key): cells[key] for key in cells}
            else:
                for row in JsonLinesSource(path).rows({}, damage):
                    yield split, folder, dict(row)


def _metadata_file(folder: str) -> str:
    for name in _METADATA:
        path = os.path.join(
            folder,
            name,
        )
        if os.path.isfile(path):
            return path
    return ""


class ImageFolder(Format):
    """A folder of pictures."""

    name = "image-folder"
    title = "a folder of pictures"
    is_folder = True
    writes: ClassVar[Mapping[str, str]] = {
        "label": "the field whose values are the names of folders; by default 'label', if it is "
        "a category or a string",
        "name": "the field with the names of files; by default 'name', if there is one",
    }

    def recognizes(self, look: Look) -> bool:
        """Return whether there is a picture in it, or in a folder in it."""
        if not look.is_folder:
            return False
        if any(name.lower().endswith(PICTURES) for name in look.names):
            return True
        return next(_pictures_in(look.path, False), None) is not None

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a folder."""
        has_metadata = _metadata_file(path)
        if not has_metadata and _has_splits(path):
            folders = [os.path.join(path, name) for name in os.listdir(path)]
            has_metadata = next(
                filter(None, map(_metadata_file, folders)),
                "",
            )
        if has_metadata:
            return MetadataSource(path)
        return ImageFolderSource(path)

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write a file for each picture, in folders by its label, and `metadata.jsonl`.

        The latter has the other fields, a line for each picture.
        """
        fields = _fields_of(dataset, options)
        taken: set[str] = set()
        with open(os.path.join(path, _METADATA[0]), "w", encoding="utf-8") as file:
            for position, row in enumerate(progress.of(dataset, len(dataset))):
                values = dict(named(row))
                data = values.pop(fields.picture)
                if data is None:
                    problem = "there is no picture"
                    raise SchemaError(problem, record=position, field=fields.picture)
                given = None
                if fields.name is not None:
                    given = values.pop(fields.name)
                target = _name_of(
                    values,
                    given,
                    fields.label,
                    position,
                    ending_of(data, fields.kind),
                )
                if target in taken:
                    target = f"{position:08}-{os.path.basename(target)}"
                taken.add(target)
                _write_file(os.path.join(path, target), data)
                if fields.name is not None and target != given:
                    values[fields.name] = given
                said = {_FILE_NAME: target, **json_value(values)}
                file.write(json.dumps(said, ensure_ascii=False) + "\n")


class _Fields(NamedTuple):
    """Which fields of a dataset are what, in a folder of pictures.

    Attributes:
        picture: the field with the pictures.
        kind: its type.
        label: the field with the names of folders, or None.
        name: the field with the names of files, or None.
    """

    picture: str
    kind: str
    label: str | None
    name: str | None


def _fields_of(dataset: IndexedRecordDataset, options: Options) -> _Fields:
    """Return which fields are what. Raises SchemaError if there is not one picture a record."""
    types = types_by_name(dataset)
    pictures = [name for name, kind in types.items() if plain_name(kind) in FILES]
    if len(pictures) != 1:
        listed = ", ".join(pictures) or "none"
        raise SchemaError(
            f"a folder of pictures has one picture for each record; the dataset has: {listed}"
        )
    label = options.get("label")
    if label is None and _names_folders(types.get("label")):
        label = "label"
    name = options.get("name")
    if name is None and types.get("name") == "str":
        name = "name"
    for field in (label, name):
        if field is not None and field not in types:
            raise SchemaError("there is no such field", field=field)
    picture = pictures[0]
    return _Fields(
        picture,
        plain_name(types[picture]),
        label,
        name,
    )


def _names_folders(kind: str | None) -> bool:
    return kind is not None and kind.startswith(("category", "str"))


def _name_of(
    values: Mapping[str, Any],
    given: str | None,
    label: str | None,
    position: int,
    ending: str,
) -> str:
    """Return where a picture goes, within the folder."""
    name = f"{position:08}{ending}"
    if given:
        name = safe_name(given)
        if not name.lower().endswith(PICTURES):
            name += ending
    if label is None or values[label] is None:
        return name
    folder = safe_name(str(values[label]))
    if f"/{folder}/" in f"/{name}":
        return name
    return f"{folder}/{os.path.basename(name)}"


def _write_file(path: str, data: bytes) -> None:
    os.makedirs(
        os.path.dirname(path),
        exist_ok=True,
    )
    with open(path, "wb") as file:
        file.write(data)


FORMAT = ImageFolder()
