"""The viewer in a notebook: an inline frame, whose server runs in a thread of this process."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Sequence
from typing import Any

from dsrecords.viewer.editing import Edits
from dsrecords.viewer.served import served
from dsrecords.viewer.server import Running, Site
from dsrecords.viewer.steps import Step


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
        files: Sequence[str],
        view: str | None,
        positions: Sequence[int] | None,
        *,
        open_dataset: Callable[..., Any],
        height: int,
    ) -> None:
        """Start the server of a dataset.

        Args:
            files: paths of its data files.
            view: path of the saved view that is shown of it, or None.
            positions: of the records in it that are shown, in their order; None: of all.
            open_dataset: `dsrecords.open`.
            height: of the frame in pixels.

        Raises:
            ImportError: starlette or uvicorn is not installed.
            ValueError: it is a saved view of many files.
        """
        self.height = height
        found = served([files], view)
        steps = []
        if positions is not None:
            steps.append(Step("the view", list(positions)))
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
