"""The progress bar of what takes long."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any


def shown(samples: Iterable[Any], total: int | None, path: str, progress: bool) -> Iterable[Any]:
    """The same samples, with a progress bar if one is wanted.

    Args:
        samples: any iterable.
        total: how many they are; None if that is not known.
        path: of the data file, whose name the bar shows.
        progress: whether to show a bar.
    """
    if not progress:
        return samples
    bar: Iterable[Any] = _bar(samples, total, path)
    return bar


def shown_batches(
    batches: Iterable[Sequence[Any]],
    total: int | None,
    path: str,
    progress: bool,
) -> Iterable[Any]:
    """The same batches of columns, with a progress bar that counts their rows, if one is wanted."""
    if not progress:
        yield from batches
        return
    with _bar(None, total, path) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch[0]))


def _bar(samples: Iterable[Any] | None, total: int | None, path: str) -> Any:
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        monitor_interval = 0  # no thread: worker processes are forked where there is none

    return Bar(
        samples,
        total=total,
        desc=os.path.basename(path),
        unit=" samples",
        dynamic_ncols=True,
    )
