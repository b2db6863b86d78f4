"""A source of each format, written by the library of that format: what is in it, and which package is needed."""

import csv
import io
import json
import sqlite3
import struct
import tarfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

COUNT = 12


class Made(NamedTuple):
    """A source: its path, and the rows that are expected of it, images as bytes."""

    path: Path
    rows: list


def picture(i, form="JPEG"):
    """An image whose bytes say which one it is."""
    file = io.BytesIO()
    Image.new("RGB", (8 + i % 5, 8), (i * 9 % 256, 0, 50)).save(file, form)
    return file.getvalue()


def plain_rows():
    """Rows of plain values, some of which are missing."""
    return [
        {
            "id": i,
            "score": None if i % 4 == 0 else i / 8,
            "name": f"näme, {i}\nx" if i == 3 else f"name {i}",
            "is_test": i % 3 == 0,
        }
        for i in range(COUNT)
    ]


def of_csv(folder):
    path = folder / "table.csv"
    rows = plain_rows()
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {
                    **row,
                    "is_test": str(row["is_test"]).lower(),
                    "score": "" if row["score"] is None else row["score"],
                }
            )
    return Made(path, rows)


def of_json_lines(folder):
    path = folder / "rows.jsonl"
    rows = [
        {**row, "tags": ["a"] * (row["id"] % 9), "box": {"x": row["id"], "y": 0.5}}
        for row in plain_rows()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Made(path, rows)


def of_npy(folder):
    path = folder / "array.npy"
    array = np.arange(COUNT * 6, dtype=np.float32).reshape(COUNT, 2, 3)
    np.save(path, array)
    return Made(path, [{"array": row} for row in array])


def of_npz(folder):
    path = folder / "arrays.npz"
    x = np.arange(COUNT * 2, dtype=np.int16).reshape(COUNT, 2)
    np.savez_compressed(
        path, x=x, label=np.arange(COUNT), word=np.array([f"w{i}" for i in range(COUNT)])
    )
    return Made(path, [{"x": x[i], "label": i, "word": f"w{i}"} for i in range(COUNT)])


def of_sqlite(folder):
    path = folder / "data.sqlite"
    rows = [
        {**row, "is_test": int(row["is_test"]), "blob": bytes([row["id"] % 256])}
        for row in plain_rows()
    ]
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            'CREATE TABLE "my rows" (id INTEGER, score REAL, name TEXT, is_test INTEGER, blob BLOB)'
        )
        connection.executemany(
            'INSERT INTO "my rows" VALUES (?, ?, ?, ?, ?)', [tuple(row.values()) for row in rows]
        )
    connection.close()
    return Made(path, rows)


def of_image_folder(folder):
    root = folder / "photos"
    rows = []
    for split in ("test", "train"):
        for i in range(COUNT // 2):
            label = ("cat", "dog")[i % 2]
            name = f"{split}/{label}/{i}.jpg"
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture(i))
            if i == 1:
                path.with_suffix(".txt").write_text("a dög\n", encoding="utf-8")
            rows.append(
                {
                    "image": picture(i), "label": label, "split": split,
                    "caption": "a dög" if i == 1 else None, "name": name,
                }
            )  # fmt: skip
    rows.sort(key=lambda row: row["name"])
    return Made(root, rows)


def of_coco(folder):
    images = folder / "coco" / "val"
    images.mkdir(parents=True)
    said = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
    }
    rows = []
    for i in range(COUNT):
        (images / f"{i}.jpg").write_bytes(picture(i))
        said["images"].append({"id": i, "file_name": f"{i}.jpg", "width": 8, "height": 8})
        objects = []
        for k in range(i % 3):
            box = [1.0 * k, 2.0, 3.5, 4.0]
            said["annotations"].append(
                {
                    "id": 10 * i + k,
                    "image_id": i,
                    "category_id": (3, 7)[k],
                    "bbox": box,
                    "iscrowd": 0,
                    "segmentation": [[1, 2, 3]],
                }
            )
            objects.append(
                {
                    "bbox": box,
                    "category": ("cat", "dog")[k],
                    "id": 10 * i + k,
                    "iscrowd": False,
                    "segmentation": [[1, 2, 3]],
                }
            )
        rows.append({"image": picture(i), "image_id": i, "name": f"{i}.jpg", "objects": objects})
    path = folder / "coco" / "annotations" / "instances_val.json"
    path.parent.mkdir()
    path.write_text(json.dumps(said))
    return Made(path, rows)


VOC = """<annotation><filename>{i}.jpg</filename>
<object><name>cat</name><pose>Left</pose><difficult>{d}</difficult>
<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>{y}</ymax></bndbox></object></annotation>"""


def of_voc(folder):
    root = folder / "voc"
    rows = []
    for name in ("Annotations", "JPEGImages"):
        (root / name).mkdir(parents=True)
    for i in range(COUNT):
        (root / "JPEGImages" / f"{i}.jpg").write_bytes(picture(i))
        (root / "Annotations" / f"{i}.xml").write_text(VOC.format(i=i, d=i % 2, y=i + 3))
        found = {
            "bbox": [1.0, 2.0, 5.0, i + 3.0], "category": "cat", "difficult": i % 2 == 1, "truncated": None, "pose": "Left",
        }  # fmt: skip
        rows.append({"image": picture(i), "name": f"{i}.jpg", "objects": [found]})
    rows.sort(key=lambda row: row["name"][:-4])
    return Made(root, rows)


def of_tar(folder):
    """As WebDataset's page says: by the standard library."""
    path = folder / "shard.tar"
    rows = []
    with tarfile.open(path, "w") as archive:
        for i in range(COUNT):
            form = ("JPEG", "PNG")[i % 2]
            files = {
                form.lower().replace("jpeg", "jpg"): picture(i, form),
                "cls": str(i).encode(),
                "json": b'{"a": [1]}',
            }
            if i % 3 == 0:
                files["txt"] = f"text {i} é".encode()
            for ending, data in files.items():
                info = tarfile.TarInfo(f"{'deep/' * 30}{i:04}.{ending}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            rows.append(
                {
                    "__key__": f"{'deep/' * 30}{i:04}", "image": picture(i, form), "cls": i, "json": {"a": [1]},
                    "txt": f"text {i} é" if i % 3 == 0 else None,
                }
            )  # fmt: skip
    return Made(path, rows)


def of_mxnet(folder):
    """As `mxnet.recordio` writes it: a header of 24 bytes, contents that contain the magic are cut there."""
    path = folder / "data.rec"
    magic = struct.pack("<I", 0xCED7230A)
    rows = []
    with open(path, "wb") as file:
        for i in range(COUNT):
            content = picture(i)
            if i == 5:
                content += magic + b"behind"
            data = struct.pack("<IfQQ", 0, i / 2, i, 0) + content
            pieces = data.split(magic)
            for number, piece in enumerate(pieces):
                part = 0
                if len(pieces) > 1:
                    part = 1 if number == 0 else 3 if number == len(pieces) - 1 else 2
                file.write(
                    magic
                    + struct.pack("<I", part << 29 | len(piece))
                    + piece
                    + bytes(-len(piece) % 4)
                )
            rows.append({"data": content, "label": i / 2, "id": i})
    return Made(path, rows)


SHORT = {
    "csv": of_csv,
    "json-lines": of_json_lines,
    "npy": of_npy,
    "npz": of_npz,
    "sqlite": of_sqlite,
    "image-folder": of_image_folder,
    "coco": of_coco,
    "voc": of_voc,
    "webdataset": of_tar,
    "mxnet": of_mxnet,
}


def crc_of(data):
    """Of a whole file, to see that it was not changed."""
    return zlib.crc32(data)
