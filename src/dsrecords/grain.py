"""Datasets as data sources of Grain.

    grain.MapDataset.source(dsrecords.grain.DataSource(ds)).shuffle(seed=0)

The package grain is needed when this module is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsrecords._optional import import_optional

# So that its absence is told of here, and not by what a source is given to.
import_optional("grain", "grain", extra="grain")

__all__ = ["DataSource"]


class DataSource:
    """A dataset as a data source of Grain: its samples by index.

    Its `repr` has the dataset's fingerprint. So the state of a `grain.DataLoader`, which keeps the
    source's `repr`, goes on with the same records in the same order alone, wherever their file is.

    A record that the dataset's `on_error` leaves out is None, as Grain has it for elements that are
    not there. It pickles small.

    Args:
        dataset: an `IndexedRecordDataset`, a view of one, or what `concat`, `mix`, `zip` or
            `windows` have made of some.

    Raises:
        TypeError: it is none of these.

    Attributes:
        dataset: the same.
    """

    def __init__(self, dataset: Any) -> None:
        if not hasattr(dataset, "__getitems__") or not hasattr(dataset, "fingerprint"):
            kind = type(dataset).__name__
            raise TypeError(f"a dataset such as dsrecords.open returns is expected, not {kind}")
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """Return a sample; None if it is left out."""
        if _reads_all(self.dataset):
            return self.dataset[index]
        found = self.dataset.__getitems__([index])
        if not found:
            return None
        return found[0]

    def _getitems(self, indices: Sequence[int]) -> list[Any]:
        """Return many samples, read together: the name is Grain's."""
        if _reads_all(self.dataset):
            found: list[Any] = self.dataset.__getitems__(indices)
            return found
        return [self[index] for index in indices]

    def __repr__(self) -> str:
        count = len(self.dataset)
        return f"<DataSource of {count:,} samples, fingerprint {self.dataset.fingerprint}>"


def _reads_all(dataset: Any) -> bool:
    """Return whether a dataset, and those that it is made of, raise what they cannot read."""
    if getattr(dataset, "on_error", "raise") != "raise":
        return False
    return all(_reads_all(part) for part in getattr(dataset, "datasets", ()))
