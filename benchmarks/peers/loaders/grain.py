"""Grain over ArrayRecord: `MapDataset`, shuffled, decoded by Grain's own reading threads in this process.

`group_size:1,uncompressed`, which is made for random access. Values are packed by the user. Threads
take less processor time than worker processes here, since decoding lets go of the interpreter's lock.
"""

import grain
from array_record.python import array_record_module

from .base import LoaderAdapter, Transform, one_thread, packed, unpacked


class Adapter(LoaderAdapter):
    """One .arrayrecord file."""

    title = "Grain over ArrayRecord"
    modules = ("grain", "array_record")

    @property
    def path(self):
        return str(self.folder / "data.arrayrecord")

    def write(self, samples):
        writer = array_record_module.ArrayRecordWriter(self.path, "group_size:1,uncompressed")
        for record in packed(samples):
            writer.write(record)
        writer.close()

    def source(self):
        """A sequence of records."""
        return grain.sources.ArrayRecordDataSource(self.path)

    def open(self):
        one_thread()
        self.transform = Transform(self.row)
        self.records = self.source()

    def epoch(self, number):
        data = grain.MapDataset.source(self.records).seed(number).shuffle().map(self._sample)
        options = grain.ReadOptions(num_threads=self.settings.workers)
        yield from data.batch(self.settings.batch_size).to_iter_dataset(options)

    def _sample(self, record):
        value, label = unpacked(record)
        return {self.row.field: self.transform(value), "label": label}

    def close(self):
        del self.records
