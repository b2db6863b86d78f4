"""`Loader`: batches of a dataset for training, made ahead by threads of this process."""

from __future__ import annotations

import operator
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._dataset.options import check_decode, check_on_error, check_transform
from dsrecords._dataset.skipping import OnError, Skipped, Unreadable, pass_over
from dsrecords._loader.buffers import Buffers
from dsrecords._loader.finishing import Finisher
from dsrecords._loader.formats import Format, format_of
from dsrecords._loader.iteration import Iteration
from dsrecords._loader.keys import Key
from dsrecords._loader.limits import lacks_vision, machine
from dsrecords._loader.making import Maker, Targets
from dsrecords._loader.order import GivenBatches, as_sampler
from dsrecords._loader.padding import Pad
from dsrecords._loader.probes import probed
from dsrecords._loader.processes import Processes
from dsrecords._loader.reader import Reader
from dsrecords._loader.report import Report, Setup, report_of
from dsrecords._loader.steps import Batch
from dsrecords._loader.times import Times
from dsrecords._order.lengths import MaxTokens
from dsrecords._order.sampler import Sampler
from dsrecords._write.progress import counter

_LAYOUTS = ("NHWC", "NCHW")
_MOST_THREADS = 32  # by default


class Loader:
    """Batches of a dataset, which threads of this process make ahead of the training.

    A batch is a dict of columns by field (a tuple where fields have no names): an array (n,) of
    numbers, (n, …) of arrays or pictures of one shape, a list of anything else. It is the
    caller's for as long as anything refers to it or to its arrays; then their memory is used again.

    An iteration goes through one epoch, the next one through the next, as those of a `Sampler`.
    No process is forked or waited for; a new iteration can be begun anywhere, also in a fork.

    Args:
        dataset: a dataset, a view, many files, `mix`, `zip`, windows, or any sequence of samples.
            Its records are read as they are now: later changes are for a new loader.
        batch_size: samples of a batch, of this rank; or `MaxTokens`. None: single samples.
        global_batch_size: samples of a step of all ranks, in the place of `batch_size`.
        shuffle, seed, drop_last, pad_last, rank, world_size: as those of `Sampler`.
        sampler: a `Sampler`, in the place of all these; or any iterable of batches of indices.
        fields: which fields are read, a list; by default all.
        decode: by field, how pictures are decoded, such as `vision.RandomResizedCrop(224)`; by
            default as the dataset says, or else as "rgb". Results of one shape are one array (n,
            height, width, channels) of uint8, others a list of arrays. Decoders of `vision` take
            fields of pixels (`uint8[256,256,3]`) as well.
        transform: called with each sample, `transform(sample)`, or `transform(sample, rng)` where
            it has a second argument: a `numpy.random.Generator` that depends on the seed, the
            epoch and the sample alone (where a sample may come again in an epoch, as it does when
            samples are drawn by weights, on its place in the epoch as well). By default the
            dataset's own; if both are given, the dataset's comes first, with the same generator.
            What it returns is stacked as batches are. Threads call it at the same time.
        batch_transform: called with each batch in the loader's format, `batch_transform(batch)` or
            `(batch, rng)`; its generator depends on the seed, the epoch and the step.
        pad: by field, a `Pad`: how arrays of different lengths become one array. Their lengths
            are a column besides, "<field>_length" (int64, (n,); behind the others in a tuple).
        fill_null: what stands in the place of None: one value, or by field. Without it, columns
            with None are masked arrays or lists; a masked one is an error in another format than
            "numpy".
        layout: "NHWC", or "NCHW": the channels of pictures before height and width; the memory
            stays as it is (PyTorch's channels_last).
        with_index: whether the samples' indices are a column, "index" (int64, (n,)).
        num_threads: by default as many as this process has cores, at most 32; 0: no threads, each
            batch is made when it is asked for.
        num_processes: processes that read, decode and transform in the place of threads, for
            transforms that hold Python's lock. They are new ones (as of "spawn"), never forks.
        prefetch: batches that are made ahead. There are more while threads would have no work.
        format: "numpy", "torch" or "jax". Arrays keep their dtypes, but for the numbers of a
            `category`, which are uint16, and int64 in tensors of PyTorch's, as losses take them.
        device: where PyTorch's tensors are to be, copied ahead from pinned memory; or JAX's arrays.
        on_error: what happens at a sample that cannot be read: "raise" (or what the dataset says),
            "skip", or a function that is called with the error. Its batch is smaller, and all
            others are as they were; a batch without samples is left out.
        progress: whether a bar shows how many samples of the epoch were delivered.

    Attributes:
        sampler: which decides on the order.

    Raises:
        ValueError, TypeError: an argument is out of range, or two do not go together.
        SchemaError: there is no such field, or it cannot be decoded so.
        ImportError: the package of a format is missing; says how to install it.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | MaxTokens | None = None,
        *,
        global_batch_size: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        pad_last: bool = True,
        rank: int = 0,
        world_size: int = 1,
        sampler: Sampler | Iterable[Any] | None = None,
        fields: Sequence[Key] | None = None,
        decode: Mapping[Key, Any] | None = None,
        transform: Any = None,
        batch_transform: Any = None,
        pad: Mapping[Key, Pad] | None = None,
        fill_null: Any = None,
        layout: str = "NHWC",
        with_index: bool = False,
        num_threads: int | None = None,
        num_processes: int = 0,
        prefetch: int = 2,
        format: str = "numpy",
        device: Any = None,
        on_error: OnError = "raise",
        progress: bool = False,
    ) -> None:
        if sampler is None:
            sampler = Sampler(
                dataset,
                batch_size,
                global_batch_size=global_batch_size,
                shuffle=shuffle,
                seed=seed,
                drop_last=drop_last,
                pad_last=pad_last,
                rank=rank,
                world_size=world_size,
            )
        else:
            given = {
                "batch_size": batch_size is not None,
                "global_batch_size": global_batch_size is not None,
                "shuffle": shuffle,
                "drop_last": drop_last,
                "pad_last": not pad_last,
                "rank": rank != 0,
                "world_size": world_size != 1,
            }
            too_many = [name for name, is_given in given.items() if is_given]
            if too_many:
                names = ", ".join(too_many)
                raise ValueError(
                    "a sampler decides on batches, their order and the rank: give it to the "
                    f"sampler, and not to the loader: {names}"
                )
        self.sampler: Sampler | GivenBatches = as_sampler(sampler, seed)
        self._singles = not self.sampler.yields_batches
        self._num_threads = _threads(num_threads)
        self._num_processes = _count("num_processes", num_processes)
        self._prefetch = _count("prefetch", prefetch)
        self._progress = progress
        check_on_error(on_error)
        if on_error == "raise":
            on_error = getattr(dataset, "on_error", "raise")
        self._on_error = on_error
        self._skipped = Skipped(on_error)
        self._use(dataset, fields, {} if decode is None else decode, transform, layout)
        self._format: Format = format_of(format, device, self._reader.categories())
        self._buffers = Buffers(self._prefetch + self._num_threads + 2, self._format.allocate)
        self._finish({} if pad is None else pad, fill_null, with_index, batch_transform)
        self._processes: Processes | None = None
        self._targets = Targets()
        self._iteration = 0
        self._running: Callable[[], Iteration | None] = _nothing
        self._times = Times()

    def _use(
        self,
        dataset: Any,
        fields: Sequence[Key] | None,
        decode: Mapping[Key, Any],
        transform: Any,
        layout: str,
    ) -> None:
        check_decode(decode)
        check_transform(transform)
        if layout not in _LAYOUTS:
            raise ValueError(f"layout is 'NHWC' or 'NCHW', not {layout!r}")
        self._is_channels_first = layout == "NCHW"
        self._reader = Reader(dataset, fields, decode, transform, self._is_channels_first)
        self._name = os.path.basename(str(getattr(dataset, "path", "")))

    def _finish(
        self,
        pad: Mapping[Key, Pad],
        fill_null: Any,
        with_index: bool,
        batch_transform: Any,
    ) -> None:
        check_transform(batch_transform)
        if not isinstance(pad, Mapping):
            raise TypeError(f"pad is a dict of Pad by field, not {pad!r}")
        for key, each in pad.items():
            if not isinstance(each, Pad):
                raise TypeError(f"pad[{key!r}] is a dsrecords.Pad, such as Pad(0), not {each!r}")
        if self._singles and (pad or batch_transform is not None):
            raise ValueError("pad and batch_transform are for batches: give a batch_size")
        channels_first = []
        if self._is_channels_first:
            channels_first = self._reader.decoded_columns()
        self._finisher = Finisher(
            self._format,
            pad,
            fill_null,
            channels_first,
            with_index,
            batch_transform,
            self._singles,
        )

    # The order

    def __len__(self) -> int:
        """Return the number of batches of an epoch, or of samples without a batch size."""
        return len(self.sampler)

    @property
    def epoch(self) -> int:
        """The epoch of the running iteration, or of the last one."""
        return self.sampler.epoch

    @property
    def skipped(self) -> list[Unreadable]:
        """The errors of the samples that `on_error="skip"` has left out; always the same list."""
        return self._skipped.errors()

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration goes through, as `Sampler.set_epoch` does."""
        self.sampler.set_epoch(epoch)

    def indices(self, step: int) -> np.ndarray:
        """Return the indices of the samples of a step of the epoch, of this rank: int64, (n,).

        Raises:
            IndexError: the epoch has no such step.
            TypeError: the sampler is not one of ours.
        """
        return self.sampler.indices(step)

    def state_dict(self) -> dict[str, int | str]:
        """Return where training is: what was delivered counts, not what was made ahead.

        It is a `Sampler`'s: less than 200 bytes of integers and strings.

        Raises:
            TypeError: the sampler is not one of ours, and has no states.
        """
        return self.sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state says, also with other ranks, threads or batches.

        Raises:
            ValueError: it is a state of another dataset or another order, or none.
        """
        self.sampler.load_state_dict(state)
        self._end_running()

    def report(self) -> Report:
        """Return where the time of the running iteration, or of the last one, went.

        It reads and decodes a few samples again, and calls the transform once more, to learn what
        the machine can do; that takes some tenths of a second. `print(loader.report())` shows a
        table, and the one change that would help most.

        Raises:
            RuntimeError: no batch was delivered yet.
        """
        times = self._times
        if not times.batches or not times.rows:
            raise RuntimeError("nothing was measured yet: go through some batches, then ask")
        setup = Setup(
            self._num_threads,
            self._num_processes,
            self._reader.verify,
            lacks_vision(),
            tuple(picture.key for picture in self._reader.pictures if picture.shape is not None),
            self._reader.is_remote,
        )
        probes = probed(self._reader, list(times.recent))
        return report_of(times, setup, machine(), probes)

    def close(self) -> None:
        """End the running iteration, and the worker processes, if there are any."""
        self._end_running()
        if self._processes is not None:
            self._processes.close()
            self._processes = None

    def _end_running(self) -> None:
        self._iteration += 1
        running = self._running()
        if running is not None:
            running.stop()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Loader: {self.sampler!r}, {self._num_threads} threads>"

    # Iterating

    def __iter__(self) -> Iterator[Any]:
        """Go through the epoch, from its beginning or where a state that was loaded says.

        Raises:
            RuntimeError: a later iteration was begun, or this one is used in a fork.
            CorruptError, DecodeError: a sample cannot be read; names record and field.
            SchemaError: samples do not make a batch; names the field.
            DSRecordsError: a worker process was killed.
        """
        self._end_running()
        number = self._iteration
        if self._num_processes and (self._processes is None or not self._processes.is_here()):
            self._processes = Processes(self._reader, self._num_processes)
        maker = Maker(
            self._reader,
            self._finisher,
            self._buffers,
            self._processes,
            self._on_error != "raise",
            self._num_threads,
            self._targets,
        )
        self._times = maker.times
        iteration = Iteration(
            maker,
            self.sampler,
            max(self._num_threads, self._num_processes),
            self._prefetch,
            lambda: self._iteration == number,
        )
        self._running = weakref.ref(iteration)
        batches = self._delivered(iteration.batches())
        if self._progress:
            return self._shown(batches)
        return (batch.value for batch in batches)

    def _delivered(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches that have samples."""
        for batch in batches:
            for error in batch.left_out:
                pass_over(error, self._on_error, self._skipped)
            if batch.samples:
                self._format.delivered(batch.value)
                yield batch

    def _shown(self, batches: Iterator[Batch]) -> Iterator[Any]:
        total, done = self._counts_of_epoch()
        with counter(total, self._name, done) as bar:
            for batch in batches:
                bar.update(batch.samples)
                yield batch.value

    def _counts_of_epoch(self) -> tuple[int | None, int]:
        """How many samples an epoch has, within a batch, and how many of them are done.

        The first is None if that is not known.
        """
        sampler = self.sampler
        if not isinstance(sampler, Sampler) or sampler.global_batch_size is None:
            return None, 0
        size = sampler.global_batch_size
        total = min(sampler.num_samples, len(sampler) * size)
        done = min(total, sampler.step * size)
        return total // sampler.world_size, done // sampler.world_size


def _nothing() -> None:
    """Stand for a reference to nothing."""


def _threads(given: int | None) -> int:
    if given is not None:
        return _count("num_threads", given)
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


def _count(name: str, given: Any) -> int:
    try:
        number = operator.index(given)
    except TypeError:
        kind = type(given).__name__
        raise TypeError(f"{name} is an integer, not {kind}") from None
    if number < 0:
        raise ValueError(f"{name} is at least 0, not {number}")
    return number
