"""Pictures of the viewer for docs/viewer.md: docs/img/viewer-*.png.

Usage: viewer_pictures.py

Makes datasets of crops of two photographs that come with scikit-learn, of texts and of sounds, and
lets Chromium show them. Needs `chromium`, and the packages playwright, scikit-learn, starlette and
uvicorn.
"""

import io
import shutil
import sys
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from sklearn.datasets import load_sample_images

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "tests" / "viewer")]

import viewing  # noqa: E402

import dsrecords  # noqa: E402

FOLDER = ROOT / "docs" / "img"
COLORS = 128  # of a picture, which so is a third as large
WIDE = (1000, 600)
PHONE = (390, 760)
LABELS = ("city", "flower")
NAMES = ("pagoda", "flower")
BOXES = ((62, 30, 352, 400), (169, 85, 446, 360))  # of what the two photographs show
CROP = (480, 320)
SHOWN = (320, 213)
PHOTOS = 240
TEXTS = 5000
SENTENCES = (
    "Every byte that is read was verified, and damage is an error that says where it is.",
    "A record is appended by one write; a batch of them counts as a whole, or not at all.",
    "A shuffle is a formula: it takes no memory, and any position of it is known at once.",
    "An index is a cache: it can be made again from the log at any time.",
    "A field is corrected alone, and the picture beside it is not written again.",
)
RATE = 16_000  # samples of a sound in a second
NOTES = ("A", "A#", "B", "C", "C#", "D", "D#", "E", "F", "F#", "G", "G#")


def photos() -> Iterator[dict[str, Any]]:
    """Yield crops of two photographs, with the box of what they show."""
    dice = np.random.default_rng(5)
    images = load_sample_images().images
    scale = SHOWN[0] / CROP[0]
    for i in range(PHOTOS):
        k = i % 2
        height, width, _ = images[k].shape
        left = int(dice.integers(0, width - CROP[0] + 1)) * (1 - k) // 3 + k * 80
        top = int(dice.integers(0, height - CROP[1] + 1))
        crop = Image.fromarray(images[k][top : top + CROP[1], left : left + CROP[0]])
        file = io.BytesIO()
        crop.resize(SHOWN).save(file, "JPEG", quality=88)
        corner = np.array([left, top, left, top])
        box = np.clip((np.array(BOXES[k]) - corner) * scale, 1, [*SHOWN, *SHOWN])
        yield {
            "image": file.getvalue(),
            "objects": [{"label": NAMES[k], "bbox": [round(float(one), 1) for one in box]}],
            "label": LABELS[k],
            "score": float(np.clip(dice.normal(0.75, 0.15), 0, 1)),
            "split": "test" if i % 10 == 0 else "train",
        }


def texts() -> Iterator[dict[str, object]]:
    """Yield sentences, each with a conversation about it."""
    for i in range(TEXTS):
        text = SENTENCES[i % len(SENTENCES)]
        question = "How do I read one field of a record without reading the others?"
        answer = '`ds[7, "label"]` reads the label alone.'
        yield {
            "text": text,
            "tokens": len(text.split()) + i % 3,
            "language": ("en", "de", "fr")[i % 3],
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ],
        }


def sounds() -> Iterator[dict[str, object]]:
    """Yield notes that fade."""
    time = np.arange(2 * RATE) / RATE
    for i, note in enumerate(NOTES):
        pitch = 220 * 2 ** (i / 12)
        loudness = np.exp(-2 * time) * (1 + 0.3 * np.cos(12 * np.pi * time))
        values = 20_000 * loudness * np.sin(2 * np.pi * pitch * time)
        file = io.BytesIO()
        with wave.open(file, "wb") as sound:
            sound.setparams((1, 2, RATE, len(time), "NONE", ""))
            sound.writeframes(values.astype("<i2").tobytes())
        yield {
            "sound": file.getvalue(),
            "pitch": pitch,
            "note": note,
            "transcript": f"a note that fades, number {i}",
        }


def make(folder: Path) -> list[Path]:
    """Make the datasets that are shown. Returns their paths."""
    of_photos = {
        "image": "jpeg",
        "objects": "json",
        "label": f"category[{','.join(LABELS)}]",
        "score": "float32",
        "split": "category[train,test]",
    }
    of_texts = {"text": "str", "tokens": "int32", "language": "str", "messages": "json"}
    of_sounds = {"sound": "audio", "pitch": "float32", "note": "str", "transcript": "str"}
    names = ("photos", "texts", "sounds", "damaged", "relabelled")
    paths = [folder / f"{name}.rec" for name in names]
    samples = list(photos())
    for path in (paths[0], paths[3], paths[4]):
        dsrecords.make_dataset(samples, path, of_photos)
    dsrecords.make_dataset(texts(), paths[1], of_texts)
    dsrecords.make_dataset(sounds(), paths[2], of_sounds)
    with dsrecords.open(paths[4]) as ds:
        ds[4, "label"] = "flower"
    data = bytearray(paths[3].read_bytes())
    for i in (2, 5):
        offset = data.find(samples[i]["image"])
        data[offset + 700 : offset + 708] = bytes(8)
    paths[3].write_bytes(data)
    return paths


class Camera:
    """Takes pictures of a page.

    Attributes:
        page: which is pictured.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self._address = address

    def show(self, more: str, size: tuple[int, int] = WIDE) -> None:
        """Show what a link means, in a window of that size."""
        width, height = size
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.goto(f"{self._address}#{more}")
        self.page.reload()
        self.page.locator("#count", has_text="records").wait_for()

    def take(self, name: str) -> None:
        """Write docs/img/viewer-NAME.png, once all is drawn."""
        self.page.wait_for_timeout(1500)
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        few = picture.quantize(COLORS, dither=Image.Dither.NONE)
        few.save(FOLDER / f"viewer-{name}.png", optimize=True)


def take_all(camera: Camera) -> None:
    """Take all pictures."""
    page = camera.page
    camera.show("file=0")
    camera.take("grid")
    camera.show("file=0&view=grid&marked=2,5&i=5")
    camera.take("record")
    camera.show("file=1&find=index&i=3")
    camera.take("text")
    camera.show("file=2&i=3")
    camera.take("sound")
    camera.show("file=3&view=grid&i=2")
    camera.take("damage")
    camera.show("file=0&filter=score+>+0.7+and+label+==+%22city%22&fields=1", (1000, 760))
    for _ in range(2):
        page.get_by_role("button", name="Count its values").first.click()
        page.wait_for_timeout(500)
    camera.take("filter")
    camera.show("file=0&compare=4&view=table&i=4", (1000, 560))
    differing = page.locator("#record section.differs")
    differing.scroll_into_view_if_needed()
    camera.take("compare")
    camera.show("file=0&view=table&i=5", (1000, 560))
    page.get_by_role("button", name="edit label").click()
    camera.take("edit")
    camera.show("file=0", PHONE)
    camera.take("phone")
    page.emulate_media(color_scheme="dark")
    camera.show("file=0&view=grid&seed=7&i=6")
    camera.take("dark")


def main() -> None:
    """Make the datasets, show them, take the pictures."""
    with tempfile.TemporaryDirectory() as name:
        server = viewing.Server(*make(Path(name)), "--edit")
        with sync_playwright() as playwright:
            options = ["--no-sandbox", "--disable-gpu"]
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=options)
            take_all(Camera(browser.new_page(), server.address))
            browser.close()
        server.stop()


if __name__ == "__main__":
    main()
