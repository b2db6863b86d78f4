"""Make `mds/` and `mds-zstd/`, by MosaicML's own writer: make_mds.py FOLDER [COMPRESSION]."""

import io
import sys

import numpy as np
import torch
from PIL import Image

# The package asks for operators of torchvision when it is imported, and uses none of them here.
operators = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from streaming import MDSWriter  # noqa: E402 - behind these

COLUMNS = {
    "image": "jpeg",
    "label": "int",
    "x": "float32",
    "name": "str",
    "a": "ndarray",
    "b": "ndarray:float32:2,2",
    "m": "json",
    "raw": "bytes",
    "p": "pil",
    "si": "str_int",
    "jl": "list[jpeg]",
    "u": "uint8",
}


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
        "x": np.float32(i / 3),
        "name": f"n{i}",
        "a": np.arange(i + 1, dtype=np.int16),
        "b": np.full((2, 2), i, np.float32),
        "m": {"k": [i]},
        "raw": bytes([i]),
        "p": Image.new("RGB", (3, 2), (i, 0, 0)),
        "si": i * 10**10,
        "jl": [picture(i), picture(i + 1)],
        "u": i,
    }


if __name__ == "__main__":
    compression = sys.argv[2] if len(sys.argv) > 2 else None
    with MDSWriter(
        out=sys.argv[1], columns=COLUMNS, compression=compression, size_limit=6000
    ) as writer:
        for i in range(20):
            writer.write(sample(i))
