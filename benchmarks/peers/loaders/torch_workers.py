"""torch's DataLoader with one worker process for each core: the adapters that build on it."""

import warnings
from typing import Any

import torch
from torch.utils.data import DataLoader

from .base import LoaderAdapter, Transform, one_thread

# Arrays that lie in a file's memory are only read until they are stacked.
warnings.filterwarnings("ignore", "The given NumPy array is not writable")


def prepare(worker: int) -> None:
    """Called in each worker."""
    one_thread()


class TorchAdapter(LoaderAdapter):
    """An adapter whose `dataset()` is given to a DataLoader."""

    def dataset(self) -> Any:
        """A map-style dataset of pairs (value, label) or of dicts."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """How many workers, and whether they stay from one epoch to the next."""
        workers = self.settings.workers
        return {
            "num_workers": workers,
            "persistent_workers": bool(workers) and not self.settings.cold,
            "worker_init_fn": prepare,
        }

    def open(self):
        torch.manual_seed(0)
        self.transform = Transform(self.row)
        self.loader = DataLoader(
            self.dataset(),
            batch_size=self.settings.batch_size,
            shuffle=True,
            **self.options(),
        )

    def epoch(self, number):
        for batch in self.loader:
            yield self.named(batch)

    def named(self, batch: Any) -> dict[str, Any]:
        """A batch as a dict."""
        if isinstance(batch, dict):
            return batch
        values, labels = batch
        return {self.row.field: values, "label": labels}

    def close(self):
        del self.loader
