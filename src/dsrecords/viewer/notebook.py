"""The viewer in a notebook: an inline frame, whose server runs in a thread of this process."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dsrecords._dataset.reading import Reading
from dsrecords._shards.source import ShardsSource
from dsrecords.viewer.editing import Edits
from dsrecords.viewer.served import served
from dsrecords.viewer.server import Running, Site
from dsrecords.viewer.steps import Step


class Shown(NamedTuple):
    """What a frame shows of a dataset.

    Attributes:
        files: paths of its data files.
        counts: how many records of each of many files count; empty of one file.
        view: path of the saved view that is shown of one file, or None.
        positions: of the records that are shown, in their order, counted through all files; None:
            all of them.
    """

    files: list[str]
    counts: list[int]
    view: str | None
    positions: list[int] | None


def shown_of(reading: Reading) -> Shown:
    """Return what a frame shows of a dataset that is being read."""
    source = reading.opened()
    positions = None
    if reading.selection is not None:
        positions = np.asarray(reading.selection.positions)
    if not isinstance(source, ShardsSource):
        view = source.index_path if source.view else None
        return Shown(reading.files(), [], view, _listed(positions))
    order = source.snapshot.order
    if order is not None:
        positions = order if positions is None else order[positions]
    counts = [shard.length for shard in source.manifest.shards]
    return Shown(reading.files(), counts, None, _listed(positions))


def _listed(positions: np.ndarray | None) -> list[int] | None:
    if positions is None:
        return None
    found: list[int] = positions.tolist()
    return found


class Frame:
    """A dataset in the viewer, which notebooks show below a cell.

    Only the computer of the kernel can ask for its address: where that is another one than the
    browser's, the port has to be forwarded.

    Attributes:
        address: of the page, for a browser on the computer of the kernel.
        height: of the frame in pixels.
    """

    def __init__(
        self,
        shown: Shown,
        *,
        open_dataset: Callable[..., Any],
        height: int,
    ) -> None:
        """Start the server of a dataset.

        Args:
            shown: what is shown of it.
            open_dataset: `dsrecords.open`.
            height: of the frame in pixels.

        Raises:
            ImportError: starlette or uvicorn is not installed.
        """
        self.height = height
        found = served([shown.files], shown.view)
        if shown.counts:
            found.shown[0]["counts"] = shown.counts
        steps = []
        if shown.positions is not None:
            steps.append(Step("the view", shown.positions))
        self._edits = Edits(found, open_dataset)
        self._running = Running(Site(found, steps, self._edits))
        self.address = self._running.address
        if steps:
            self.address += "#step=0"
        self._thread = threading.Thread(target=self._running.run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the server. The frame shows nothing more."""
        self._running.stop()
        self._thread.join()
        self._edits.close()

    def __repr__(self) -> str:
        return f"<viewer at {self.address}>"

    def _repr_html_(self) -> str:
        address = html.escape(self.address)
        style = f"width: 100%; height: {self.height}px; border: 1px solid #8888"
        return f'<iframe src="{address}" style="{style}" title="DSRecords"></iframe>'
