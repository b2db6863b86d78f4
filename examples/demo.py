"""Pack 1,797 scanned handwritten digits, read them, change them, train on them, and draw sixteen of them.

Everything is written to demo_output/ in the current folder. A second run writes it anew.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits
from sklearn.svm import SVC

import dsrecords

OUTPUT = Path("demo_output")
RANDOM = np.random.default_rng(2)  # with a seed, so that two runs print the same


def sample(pixels, label):
    """One digit: an image, dark on white; what it shows; and the scanner's own 8 × 8 numbers from 0 (paper) to 16 (ink)."""
    return {
        "image": (255 - pixels * 15).astype(np.uint8),
        "label": label,
        "pixels": pixels.astype(np.uint8),
    }


def pack(path):
    digits = load_digits()
    path, _ = dsrecords.make_dataset(
        [
            sample(*pair) for pair in zip(digits.images, digits.target)
        ],  # any iterable; of a list the progress bar knows the end
        path,
        {"image": "png", "label": "int64", "pixels": "uint8[8,8]"},
        metadata={"source": "sklearn.datasets.load_digits", "classes": 10},
        overwrite=True,
        progress=True,
    )
    return path


def look(ds):
    title("What it is")
    print(ds)
    print("metadata   ", ds.metadata)
    print("on disk    ", sizes(ds))


def read(ds):
    title("Reading")
    print("ds[0]      ", ", ".join(f"{name}: {short(value)}" for name, value in ds[0].items()))
    print("one field  ", "ds[0, 'label'] is", ds[0, "label"])
    batch = ds.batch(RANDOM.choice(len(ds), 8, replace=False))
    print("a batch    ", "label:", batch["label"])
    print("           ", "pixels:", short(batch["pixels"]))
    print("           ", "image: a list of", len(batch["image"]), "like", short(batch["image"][0]))


def change(ds):
    title("Changing it like a list")
    blank = sample(np.zeros((8, 8)), 0)
    print("before     ", sizes(ds))
    ds.append(blank)
    ds.extend([blank, blank])
    print("3 appended ", sizes(ds))
    ds[0] = sample(16 - ds[0, "pixels"], ds[0, "label"])
    print("1 replaced ", sizes(ds))
    del ds[[0, -3, -2, -1]]
    print("4 deleted  ", sizes(ds))
    ds.compact()
    print("compacted  ", sizes(ds))
    print("check      ", ds.check() or "every byte is as it was written")


def train(ds):
    title("Training on it")
    order = RANDOM.permutation(len(ds))
    training, test = ds[order[:1400]], ds[order[1400:]]  # views: no data is copied
    model = SVC(gamma=0.001).fit(
        training.column("pixels").reshape(-1, 64), training.column("label")
    )
    accuracy = model.score(test.column("pixels").reshape(-1, 64), test.column("label"))
    print("trained on ", f"{len(training):,} digits")
    print("accuracy   ", f"{accuracy:.1%} of {len(test)} other digits")


def draw(ds, path):
    """Sixteen random records, four by four: each image, the label below it, and which record it is."""
    title("Looking at sixteen of them")
    side, cell, height, top, gap = (
        104,
        128,
        156,
        64,
        24,
    )  # of a digit; of a digit with its label; of the heading; around it all
    sheet = Image.new("L", (4 * cell + 2 * gap, top + 4 * height + gap // 2), 255)
    pen, fonts = (
        ImageDraw.Draw(sheet),
        {size: ImageFont.load_default(size) for size in (13, 18, 24)},
    )
    pen.text(
        (sheet.width / 2, gap),
        f"16 of {len(ds):,} records of {Path(ds.path).name}",
        fill=0,
        font=fonts[18],
        anchor="ma",
    )
    chosen = RANDOM.choice(len(ds), 16, replace=False)
    for number, (record, digit) in enumerate(zip(chosen, ds[chosen])):
        x, y = gap + number % 4 * cell + (cell - side) // 2, top + number // 4 * height
        sheet.paste(digit["image"].resize((side, side), Image.Resampling.NEAREST), (x, y))
        pen.rectangle((x - 1, y - 1, x + side, y + side), outline=200)
        pen.text((x, y + side + 6), str(digit["label"]), fill=0, font=fonts[24], anchor="la")
        pen.text(
            (x + side, y + side + 14), f"record {record}", fill=120, font=fonts[13], anchor="ra"
        )
    sheet.save(path)
    print("picture    ", path)


def title(text):
    print(f"\n{text}\n{'-' * len(text)}")


def sizes(ds):
    files = [Path(path) for path in (ds.path, ds.index_path)]
    return f"{len(ds):,} records, " + ", ".join(
        f"{file.name} {file.stat().st_size:,} bytes" for file in files
    )


def short(value):
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array {value.shape}"
    return f"{value.format} image {value.size}" if isinstance(value, Image.Image) else value


def main():
    OUTPUT.mkdir(exist_ok=True)
    with dsrecords.open(pack(OUTPUT / "digits.rec")) as ds:
        look(ds)
        read(ds)
        change(ds)
        train(ds)
        draw(ds, OUTPUT / "contact_sheet.png")


if __name__ == "__main__":
    main()
