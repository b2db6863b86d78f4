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
    """One digit: a grey image, what it shows, and the scanner's own 8 × 8 numbers from 0 (paper) to 16 (ink)."""
    return {"image": (pixels * 15).astype(np.uint8), "label": label, "pixels": pixels.astype(np.uint8)}


def pack(path):
    digits = load_digits()
    path, _ = dsrecords.make_dataset(
        [sample(*pair) for pair in zip(digits.images, digits.target)],  # any iterable; of a list the progress bar knows the end
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
    model = SVC(gamma=0.001).fit(training.column("pixels").reshape(-1, 64), training.column("label"))
    accuracy = model.score(test.column("pixels").reshape(-1, 64), test.column("label"))
    print("trained on ", f"{len(training):,} digits")
    print("accuracy   ", f"{accuracy:.1%} of {len(test)} other digits")


def draw(ds, path):
    """Sixteen random digits, four by four, each above its label."""
    title("Looking at sixteen of them")
    side, width, height = 96, 120, 140  # of a digit; of a digit with its label and the space around it
    sheet = Image.new("L", (4 * width, 4 * height), 255)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(24)
    for number, digit in enumerate(ds[RANDOM.choice(len(ds), 16, replace=False)]):
        x, y = number % 4 * width + 12, number // 4 * height + 12
        sheet.paste(digit["image"].resize((side, side), Image.Resampling.NEAREST), (x, y))
        pen.text((x + side / 2, y + side + 4), str(digit["label"]), fill=0, font=font, anchor="ma")
    sheet.save(path)
    print("picture    ", path)


def title(text):
    print(f"\n{text}\n{'-' * len(text)}")


def sizes(ds):
    files = [Path(path) for path in (ds.path, ds.index_path)]
    return f"{len(ds):,} records, " + ", ".join(f"{file.name} {file.stat().st_size:,} bytes" for file in files)


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
