"""Datasets of Hugging Face, on disk or in memory; their splits are a field."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from dsrecords._convert.base import Format, Look, Options, Progress, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.paths import category_or_str
from dsrecords._optional import import_optional
from dsrecords._schema.infer import infer_table
from dsrecords._schema.tabular import Tabular, as_tabular
from dsrecords.errors import SchemaError

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_SPLIT = "split"
_INFO = "dataset_info.json"
_STATE = "state.json"
_DICT = "dataset_dict.json"
_METADATA = "huggingface"  # key of the features, as JSON has them
_PART = 2**28  # bytes of records that are in memory while a dataset is written


class HuggingFaceSource(Source):
    """A dataset, or several by the names of their splits.

    Args:
        path: of the folder; of objects their name.
        given: a dataset, or a dict of them.
        split: the only one that is wanted, or None.
    """

    def __init__(
        self,
        path: str,
        given: Any,
        split: str | None,
    ) -> None:
        super().__init__(path)
        self._splits: dict[str | None, Any] = {None: given}
        if isinstance(given, Mapping):
            self._splits = dict(given)
            if split is not None and split not in self._splits:
                listed = ", ".join(map(str, self._splits))
                raise ValueError(f"there is no split {split!r} of {path}; there are: {listed}")
            if split is not None:
                self._splits = {None: given[split]}
        features: Any = getattr(
            next(iter(self._splits.values())),
            "features",
            None,
        )
        if hasattr(features, "to_dict"):
            self.metadata = {_METADATA: features.to_dict()}
        counts = [len(one) for one in self._splits.values() if hasattr(one, "__len__")]
        if len(counts) == len(self._splits):
            self.count = sum(counts)

    def types(self) -> dict[str, Any]:
        """Return the types of the features, which all splits have in common."""
        types: dict[str, Any] = {}
        for split, given in self._splits.items():
            found = infer_table(_table_of(self.path, given))
            assert isinstance(found, dict)
            if not types:
                types = found
            for name in types.keys() | found.keys():
                types[name] = _common(
                    name,
                    types.get(name),
                    found.get(name),
                    split,
                )
        splits = list(self._splits)
        if None not in splits:
            if _SPLIT in types:
                raise SchemaError("the splits have a field of this name", field=_SPLIT)
            types[_SPLIT] = category_or_str(splits)
        return types

    def table(self, schema: Mapping[str, Any]) -> Any:
        """Return the dataset, if it is one, with the columns that are wanted."""
        if list(self._splits) != [None]:
            return None
        given = self._splits[None]
        if list(schema) != list(given.features):
            given = given.select_columns(list(schema))
        return given

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the rows of all splits."""
        for split, given in self._splits.items():
            for row in _table_of(self.path, given).samples(named=True):
                if split is not None:
                    row[_SPLIT] = split
                yield row


def _table_of(path: str, given: Any) -> Tabular:
    table = as_tabular(given)
    if table is None:
        raise SchemaError(f"{path}: its features are not known: give dataset.cast(features)")
    return table


def _common(
    name: str,
    one: Any,
    other: Any,
    split: str | None,
) -> Any:
    """Return the type that a field has in two splits. Raises SchemaError if there is none."""
    if one == other:
        return one
    for narrow, wide in ((one, other), (other, one)):
        if wide == f"{narrow}?":
            return wide
    raise SchemaError(f"split {split!r} has {other!r}, others {one!r}", field=name)


def is_huggingface_dict(given: Any) -> bool:
    """Return whether an object is a dict of splits."""
    return type(given).__module__.startswith("datasets.") and isinstance(given, Mapping)


class HuggingFace(Format):
    """What `save_to_disk` of Hugging Face's datasets writes."""

    name = "huggingface"
    title = "Hugging Face"
    endings = (".hf",)
    is_folder = True
    reads: ClassVar[Mapping[str, str]] = {"split": "the only one that is wanted"}
    writes: ClassVar[Mapping[str, str]] = {
        "split": "the field whose values are the names of splits; by default 'split', if there "
        "is one that is a category",
    }

    def recognizes(self, look: Look) -> bool:
        """Return whether it is such a folder."""
        if _DICT in look.names:
            return True
        return _INFO in look.names and _STATE in look.names

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Map the files of a folder."""
        datasets = import_optional(
            "datasets",
            "datasets",
            extra="huggingface",
        )
        arrow = import_optional("pyarrow", "pyarrow")
        try:
            given = datasets.load_from_disk(path)
        except (OSError, ValueError, KeyError, TypeError, arrow.ArrowException) as error:
            raise unreadable(path, f"Hugging Face cannot load it: {error}") from None
        return HuggingFaceSource(
            path,
            given,
            options.get("split"),
        )

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write a dataset, or one for each split."""
        datasets = import_optional(
            "datasets",
            "datasets",
            extra="huggingface",
        )
        split = options.get("split")
        schema = dataset.schema
        if split is None and isinstance(schema, dict):
            split = _SPLIT if schema.get(_SPLIT, "").startswith("category") else None
        if split is None:
            _save(
                dataset,
                path,
                datasets,
                progress,
            )
            return
        others = [field for field in dataset.fields if field != split]
        parts = {}
        for name in dataset.unique(split):
            rows = dataset.filter(_Is(split, name), fields=[split])
            folder = os.path.join(path, f"{name}.part")
            _save(
                rows.select_fields(others),
                folder,
                datasets,
                progress,
            )
            parts[str(name)] = datasets.load_from_disk(folder)
        datasets.DatasetDict(parts).save_to_disk(path)
        for name in parts:
            shutil.rmtree(os.path.join(path, f"{name}.part"))


class _Is:
    """Whether a field of a sample has a value."""

    def __init__(
        self,
        field: Any,
        value: Any,
    ) -> None:
        self._field = field
        self._value = value

    def __call__(self, sample: Any) -> bool:
        return bool(sample[self._field] == self._value)


def _save(
    dataset: IndexedRecordDataset,
    path: str,
    datasets: Any,
    progress: Progress,
) -> None:
    """Write a dataset, of which a part is in memory at a time."""
    import dsrecords

    size = sum(field.bytes or 0 for field in dsrecords.info(dataset).fields)
    rows = max(1, len(dataset) * _PART // max(1, size))
    if len(dataset) <= rows:
        _with_features(dataset, datasets).save_to_disk(path)
        return
    folders = []
    for first in progress.of(range(0, len(dataset), rows)):
        folder = f"{path}.{first}"
        _with_features(dataset[first : first + rows], datasets).save_to_disk(folder)
        folders.append(folder)
    parts = [datasets.load_from_disk(folder) for folder in folders]
    datasets.concatenate_datasets(parts).save_to_disk(path)
    for folder in folders:
        shutil.rmtree(folder)


def _with_features(dataset: IndexedRecordDataset, datasets: Any) -> Any:
    """Return records with the features that they once had, if their metadata say so."""
    made = dataset.to_huggingface()
    said = dataset.metadata.get(_METADATA)
    if not isinstance(said, dict) or not said.keys() >= set(made.features):
        return made
    arrow = import_optional("pyarrow", "pyarrow")
    try:
        known = datasets.Features.from_dict(said)
        wanted = datasets.Features({name: known[name] for name in made.features})
        if wanted == made.features:
            return made
        return made.cast(wanted)
    except (ValueError, KeyError, TypeError, AttributeError, arrow.ArrowException):
        return made  # the fields are others by now


FORMAT = HuggingFace()
