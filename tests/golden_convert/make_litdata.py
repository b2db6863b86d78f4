"""Make `litdata/`, by litdata itself: make_litdata.py FOLDER [COMPRESSION]."""

import io
import sys

import numpy as np
import torch
from litdata import optimize
from PIL import Image


def picture(i):
    """An image that was opened from a JPEG file."""
    file = io.BytesIO()
    Image.new("RGB", (8 + i, 8), (i * 9, 0, 0)).save(file, "JPEG")
    file.seek(0)
    return Image.open(file)


def sample(i):
    return {
        "image": picture(i),
        "label": i,
        "x": i / 3,
        "name": f"n{i}",
        "a": np.full((2, 3), i, np.int16),
        "t": torch.full((2,), float(i)),
        "raw": bytes([i]),
        "f": i % 2 == 0,
        "v": np.arange(i + 1, dtype=np.int32),
        "p": Image.new("RGB", (3, 2), (i, 0, 0)),
    }


if __name__ == "__main__":
    optimize(
        sample,
        list(range(20)),
        output_dir=sys.argv[1],
        chunk_size=7,
        num_workers=1,
        compression=sys.argv[2] if len(sys.argv) > 2 else None,
    )
