"""Grain over Bagz: as over ArrayRecord, the file read by `bagz.Reader` (uncompressed, limits in memory)."""

import bagz

from . import grain
from .base import packed


class Adapter(grain.Adapter):
    """One .bagz file."""

    title = "Grain over Bagz"
    modules = ("grain", "bagz")

    @property
    def path(self):
        return str(self.folder / "data.bagz")

    def write(self, samples):
        options = bagz.Writer.Options(compression=bagz.CompressionNone())
        with bagz.Writer(self.path, options) as writer:
            for record in packed(samples):
                writer.write(record)

    def source(self):
        limits = bagz.LimitsStorage.IN_MEMORY
        options = bagz.Reader.Options(compression=bagz.CompressionNone(), limits_storage=limits)
        return bagz.Reader(self.path, options)
