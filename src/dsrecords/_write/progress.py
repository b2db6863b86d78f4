"""The progress bar of what takes long."""

from __future__ import annotations

import os
from collections.abc import Iterable
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
    from tqdm import tqdm

    return tqdm(
        samples,
        total=total,
        desc=os.path.basename(path),
        unit=" samples",
        dynamic_ncols=True,
    )
