"""FFCV: a `.beton` of the same JPEG bytes; its own decoder, random crop and flip, compiled by Numba.

It decodes with libjpeg-turbo's fast transform and resizes by OpenCV's `INTER_AREA`, which is the mean
of the area where an image becomes smaller, and linear where it grows; both from the libraries of the
system that it was built with. A batch lies in one of its reused buffers. It compiles at the first
batch, in the epoch that warms up; measured epochs are one long one, so that its buffers are made once.
"""

import numpy as np
from ffcv.fields import IntField, NDArrayField, RGBImageField, rgb_image
from ffcv.fields.decoders import IntDecoder, NDArrayDecoder, RandomResizedCropRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.transforms import RandomHorizontalFlip, Squeeze, ToTensor
from ffcv.writer import DatasetWriter

from .base import SIZE, LoaderAdapter


class _Encoded(RGBImageField):
    """Images that are JPEGs already, stored as they are."""

    def __init__(self, height, width):
        super().__init__()
        self.size = (height, width)

    def encode(self, destination, image, malloc):
        destination["mode"] = rgb_image.IMAGE_MODES["jpg"]
        destination["height"], destination["width"] = self.size
        destination["data_ptr"], storage = malloc(len(image))
        storage[:] = np.frombuffer(image, np.uint8)


class Adapter(LoaderAdapter):
    """One .beton file."""

    title = "FFCV"
    modules = ("ffcv", "torch", "numba")

    @property
    def path(self):
        return str(self.folder / "data.beton")

    def _field(self):
        if self.row.kind == "jpeg":
            return _Encoded(*self.row.shape[:2])
        if self.row.kind == "pixels":
            return RGBImageField(write_mode="raw")
        return NDArrayField(np.dtype(self.row.dtype), self.row.shape)

    def _decoder(self):
        if self.row.is_image:
            return [RandomResizedCropRGBImageDecoder((SIZE, SIZE)), RandomHorizontalFlip()]
        return [NDArrayDecoder()]

    def write(self, samples):
        fields = {self.row.field: self._field(), "label": IntField()}
        writer = DatasetWriter(self.path, fields, num_workers=1)
        writer.from_indexed_dataset(samples)

    def open(self):
        size = self.settings.batch_size
        self.loader = Loader(
            self.path,
            batch_size=size,
            num_workers=self.settings.workers,
            order=OrderOption.RANDOM,
            os_cache=True,
            seed=0,
            drop_last=False,
            indices=self._indices(),
            pipelines={
                self.row.field: [*self._decoder(), ToTensor()],
                "label": [IntDecoder(), ToTensor(), Squeeze(1)],
            },
            custom_fields={"image": RGBImageField} if self.row.kind == "jpeg" else {},
        )

    def _indices(self):
        """Each sample as often as there are epochs to measure."""
        with open(self.path, "rb") as file:
            header = np.frombuffer(file.read(16), np.uint64)
        return np.tile(np.arange(header[1], dtype=np.uint64), self.settings.epochs)

    def epochs(self, first, count):
        for values, labels in self.loader:
            yield {self.row.field: values, "label": labels}

    def close(self):
        del self.loader
