"""The ceiling: no file and no loader. The decoder alone on all cores, from bytes in memory, into buffers that are reused.

Images by the decoder of DSRecords, called for one image after another in one thread for each core; arrays and
tokens by `numpy.take`; texts by a list comprehension.
"""

import queue
import threading

import numpy as np

from .base import SIZE, LoaderAdapter, one_thread

_AHEAD = 2


class Adapter(LoaderAdapter):
    """Samples in memory."""

    title = "decoder alone"
    modules = ("simplejpeg", "cv2")

    def write(self, samples):
        """Nothing is stored."""

    def give(self, samples):
        """Keep what would be stored in memory."""
        self.labels = samples.labels
        self.values = [samples.value(index) for index in range(len(samples))]
        if self.row.kind in ("array", "tokens"):
            self.values = np.stack(self.values)

    def open(self):
        if self.row.is_image:
            one_thread()
            self.into = self.decoder()

    def decoder(self):
        """A function of a stored image and its place in the batch."""
        from dsrecords import vision

        decoder = vision.RandomResizedCrop(SIZE, flip=0.5)
        generator = threading.local()

        def into(value, out):
            if not hasattr(generator, "random"):
                generator.random = np.random.default_rng().random
            numbers = generator.random(decoder.num_random)
            if isinstance(value, np.ndarray):
                decoder.convert_into(value, out, numbers)
            else:
                decoder.decode_image_into(value, out, numbers)

        return into

    def epoch(self, number):
        order = np.random.default_rng(number).permutation(len(self.labels))
        size = self.settings.batch_size
        steps = [order[start : start + size] for start in range(0, len(order), size)]
        make = self._images if self.row.is_image else self._values
        yield from make(steps)

    def _values(self, steps):
        for step in steps:
            if self.row.kind == "text":
                values = self.values
                column = [values[index] for index in step.tolist()]
            else:
                column = self.values.take(step, axis=0)
            yield {self.row.field: column, "label": self.labels[step]}

    def _images(self, steps):
        """A thread for each core decodes whole batches; the order is that of completion."""
        waiting = queue.SimpleQueue()
        for step in steps:
            waiting.put(step)
        done = queue.Queue(_AHEAD)
        free = queue.SimpleQueue()
        for _ in range(self.settings.workers + _AHEAD + 1):
            free.put(np.empty((self.settings.batch_size, SIZE, SIZE, 3), np.uint8))
        threads = [
            threading.Thread(target=self._decode, args=(waiting, free, done), daemon=True)
            for _ in range(self.settings.workers)
        ]
        for thread in threads:
            thread.start()
        for _ in steps:
            step, out = done.get()
            if isinstance(out, Exception):
                raise out
            yield {"image": out[: len(step)], "label": self.labels[step]}
            free.put(out)
        for thread in threads:
            thread.join()

    def _decode(self, waiting, free, done):
        values = self.values
        into = self.into
        while True:
            try:
                step = waiting.get_nowait()
            except queue.Empty:
                return
            out = free.get()
            try:
                for place, index in enumerate(step.tolist()):
                    into(values[index], out[place])
            except Exception as error:  # noqa: BLE001 - raised where the batch is waited for
                done.put((step, error))
                return
            done.put((step, out))
