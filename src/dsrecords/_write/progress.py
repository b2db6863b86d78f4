"""The progress bar of what takes long."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
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


def counter(total: int | None, path: str, done: int) -> Any:
    """A progress bar that is told how many samples there were, by its method `update`.

    Args:
        total: how many there will be; None if that is not known.
        path: of the data file, whose name the bar shows.
        done: how many there were before.
    """
    return _bar(None, total, path, initial=done)


@contextlib.contextmanager
def shown_bytes(total: int, path: str, progress: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar of the bytes of a file, if one is wanted.

    Yields:
        What is called with how many were read so far.
    """
    if not progress:
        yield _tell_nobody
        return
    with _bar(None, total, path, unit="B", unit_scale=True) as bar:

        def tell(count: int) -> None:
            bar.update(count - bar.n)

        yield tell


def _tell_nobody(count: int) -> None:
    """Do nothing with how far it is."""


def _bar(
    samples: Iterable[Any] | None,
    total: int | None,
    path: str,
    **options: Any,
) -> Any:
    tqdm = _tqdm()

    class Bar(tqdm):  # type: ignore[misc, valid-type]
        monitor_interval = 0  # no thread: worker processes are forked where there is none

    options.setdefault("unit", " samples")
    return Bar(
        samples,
        total=total,
        desc=_name(path),
        dynamic_ncols=True,
        **options,
    )


def _tqdm() -> Any:
    """The class of bars that fits here: a widget in a notebook, else a line of text.

    In a notebook without ipywidgets tqdm takes the line as well, and warns: nobody needs to know,
    and where warnings are errors it would be one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm


def _name(path: str) -> str:
    """Return the name of a file without what a terminal would obey."""
    name = os.path.basename(path)
    shown = [character if character.isprintable() else "?" for character in name]
    return "".join(shown)
