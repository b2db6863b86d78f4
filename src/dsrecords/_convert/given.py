"""Objects that are given as a source: tables, datasets of other packages, samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dsrecords._convert.base import Row, Source
from dsrecords._convert.damage import Damage
from dsrecords._convert.huggingface import HuggingFaceSource, is_huggingface_dict
from dsrecords._schema.infer import infer_schema, infer_table
from dsrecords._schema.samples import named_fields
from dsrecords._schema.tabular import Tabular, as_tabular
from dsrecords.errors import SchemaError

_LOOKED_AT = 1000  # samples of which the types are inferred


def given_source(given: Any) -> Source:
    """Return what is given as a source. Raises TypeError, SchemaError."""
    if is_huggingface_dict(given):
        return HuggingFaceSource(
            f"the {type(given).__name__}",
            given,
            None,
        )
    if _is_vision_dataset(given):
        return VisionSource(given)
    return ObjectSource(given)


class ObjectSource(Source):
    """A table, or samples of any kind."""

    def __init__(self, given: Any) -> None:
        super().__init__(f"the {type(given).__name__}")
        self._given = given
        self._first: list[Any] = []
        self._table: Tabular | None = None
        if hasattr(given, "__len__"):
            self.count = len(given)

    def types(self) -> dict[str, Any]:
        """Return the types of the first samples, or of the columns of a table."""
        self._table = as_tabular(self._given)
        if self._table is not None:
            schema = infer_table(self._table)
        else:
            if not isinstance(self._given, Sequence):
                self._given = iter(self._given)
            self._first = list(itertools.islice(self._given, _LOOKED_AT))
            schema = infer_schema(self._first)
        if isinstance(schema, dict):
            return schema
        return {str(position): kind for position, kind in enumerate(schema)}

    def table(self, schema: Mapping[str, Any]) -> Any:
        """Return the table, if it can be read once more and all of its columns are wanted."""
        table = self._table
        if table is None or table.count is None or table.keys != list(schema):
            return None
        return self._given

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the samples as dicts."""
        samples = self._given
        if self._table is not None:
            samples = self._table.samples(named=True)
        elif not isinstance(samples, Sequence):
            samples = itertools.chain(self._first, samples)
        for sample in samples:
            yield _named(sample)


def _named(sample: Any) -> Row:
    fields = named_fields(sample)
    if fields is not None:
        return fields
    return {str(position): value for position, value in enumerate(sample)}


def _is_vision_dataset(given: Any) -> bool:
    """Return whether this is a dataset of torchvision, or one like it: images with classes."""
    has_positions = hasattr(given, "__getitem__") and hasattr(given, "__len__")
    return has_positions and isinstance(getattr(given, "classes", None), (list, tuple))


class VisionSource(Source):
    """A dataset of torchvision's kind: pairs of an image and the number of a class."""

    def __init__(self, given: Any) -> None:
        super().__init__(f"the {type(given).__name__}")
        self._given = given
        self.count = len(given)
        self._classes = [str(name) for name in given.classes]
        samples = getattr(
            given,
            "samples",
            None,
        )
        self._paths: Sequence[Any] | None = None
        if isinstance(samples, list) and len(samples) == self.count:
            self._paths = samples

    def types(self) -> dict[str, Any]:
        """Return an image, and a category of its classes."""
        import json

        return {"image": "image", "label": f"category{json.dumps(self._classes)}"}

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the pairs: where paths are known, the files as they are."""
        for position in range(self.count or 0):
            try:
                if self._paths is not None:
                    image, number = self._paths[position]
                else:
                    image, number = self._given[position]
                yield {"image": image, "label": self._classes[int(number)]}
            except (OSError, ValueError, IndexError) as error:
                problem = f"sample {position} cannot be read: {error}"
                damage.leave_out(SchemaError(problem, file=self.path))
