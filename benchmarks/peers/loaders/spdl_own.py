"""SPDL with its own decoder: FFmpeg, whose filter crops, scales (bilinear) and mirrors; and its own batching."""

import random

import spdl.io

from . import spdl as files
from .base import SIZE, box


class Adapter(files.Adapter):
    """The same folder of files."""

    title = "SPDL over files, its own decoder"

    def values(self, indices):
        frames = [self._frame(self.read(index, "jpg")) for index in indices]
        return spdl.io.to_numpy(spdl.io.convert_frames(frames))

    def _frame(self, data):
        top, left, height, width = box(*self.row.shape[:2])
        part = f"crop={width}:{height}:{left}:{top}:exact=1"
        scale = f"scale={SIZE}:{SIZE}:flags=bilinear"
        mirror = "hflip," if random.random() < 0.5 else ""
        steps = f"{part},{scale},{mirror}format=pix_fmts=rgb24"
        return spdl.io.decode_packets(spdl.io.demux_image(data), filter_desc=steps)
