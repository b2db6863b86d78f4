"""Pictures of a loader: decoded into the memory of the batch, cropped and flipped by seed, epoch and sample alone."""

import io

import numpy as np
import pytest
from loaders import make_numbers, plain
from PIL import Image

import dsrecords
from dsrecords import Loader, Sampler, SchemaError, vision

COUNT = 24
RAW = (20, 24, 3)


def pixels(i, height, width):
    """A picture whose every part differs, so that another crop or a flip shows."""
    y, x = np.mgrid[:height, :width]
    return np.stack([(x * 7 + i) % 256, (y * 9) % 256, (x * y + 3 * i) % 256], -1).astype(np.uint8)


def encoded(array, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("loader") / "pictures.rec")
    rows = [
        {
            "label": i, "one": encoded(pixels(i, 20 + i, 30 + i % 5)), "two": encoded(pixels(i, 24, 24), "JPEG"),
            "raw": pixels(i, *RAW[:2]), "maybe": None if i % 4 == 2 else encoded(pixels(i, 12, 10)),
        }
        for i in range(COUNT)
    ]  # fmt: skip
    dsrecords.make_dataset(
        rows,
        path,
        {
            "label": "int64",
            "one": "image",
            "two": "jpeg",
            "raw": f"uint8[{RAW[0]},{RAW[1]},3]",
            "maybe": "png?",
        },
    )
    return dsrecords.open(path)


CROP = vision.RandomResizedCrop(16, flip=0.5)
DECODINGS = {
    "crop": {"one": CROP, "raw": CROP, "two": vision.CenterCrop(16)},
    "short side": {"one": vision.Resize(14, flip=0.5), "raw": vision.Resize(14, flip=0.5)},
    "size": {
        "one": vision.Resize((9, 11), flip=0.5),
        "two": vision.CenterCrop((8, 20), flip=0.5),
        "raw": vision.CenterCrop(8),
    },
    "gray": {"one": vision.Decode("gray", size=(8, 8)), "two": "gray"},
}


def by_sample(pictures, loader):
    """By label, what a loader gives of each picture."""
    found = {}
    for batch in loader:
        for row, label in enumerate(batch["label"].tolist()):
            found[label] = {
                key: plain(np.asarray(batch[key][row])) for key in ("one", "two", "raw")
            }
    return found


@pytest.mark.parametrize("name", DECODINGS)
def test_pictures_depend_on_seed_epoch_and_sample_alone(pictures, name):
    def make(batch_size=8, **options):
        return Loader(pictures, batch_size, decode=DECODINGS[name], **options)

    wanted = by_sample(pictures, make(num_threads=0))
    assert len(wanted) == COUNT
    for options in (
        {"num_threads": 2}, {"num_threads": 5, "batch_size": 24}, {"shuffle": True, "batch_size": 5}, {"transform": dict}, {"num_threads": 0, "batch_size": 1},
        {"transform": dict, "num_threads": 2, "shuffle": True}, {"sampler": Sampler(pictures, 7), "batch_size": None},
    ):  # fmt: skip
        assert by_sample(pictures, make(**options)) == wanted, options
    halves = [by_sample(pictures, make(rank=rank, world_size=2)) for rank in (0, 1)]
    assert {**halves[0], **halves[1]} == wanted
    loader = make()
    epochs = [by_sample(pictures, loader) for _ in range(2)]
    assert epochs[0] == wanted
    is_random = name != "gray"
    assert (epochs[1] != wanted) == is_random
    assert (by_sample(pictures, make(seed=1)) != wanted) == is_random


@pytest.mark.parametrize("name", DECODINGS)
def test_a_picture_is_what_its_decoder_makes_of_some_numbers(pictures, name):
    """Of those that a loader gives it. Those of two samples differ, and those of two fields are the same."""
    seen = []

    class Noted:
        def __init__(self, decoder):
            self.decoder = decoder
            self.shape = decoder.shape
            self.num_random = decoder.num_random

        def decode_image(self, data, random=None):
            seen.append(random)
            return self.decoder.decode_image(data, random)

        def decode_image_into(self, data, out, random=None):
            seen.append(random)
            self.decoder.decode_image_into(data, out, random)

        def convert(self, array, random=None):
            seen.append(random)
            return self.decoder.convert(array, random)

        def convert_into(self, array, out, random=None):
            seen.append(random)
            self.decoder.convert_into(array, out, random)

    decode = {
        key: Noted(decoder)
        for key, decoder in DECODINGS[name].items()
        if not isinstance(decoder, str)
    }
    (batch,) = Loader(pictures, COUNT, decode=decode, fields=["label", *decode], num_threads=0)
    for number, (key, noted) in enumerate(decode.items()):
        for row in range(COUNT):
            random = seen[number * COUNT + row]
            if key == "raw":
                wanted = noted.decoder.convert(pictures[row, "raw"], random)
            else:
                data = dsrecords.open(pictures.path, decode={key: "bytes"})[row, key]
                wanted = noted.decoder.decode_image(data, random)
            np.testing.assert_array_equal(batch[key][row], wanted)
    numbers = [tuple(random) for random in seen if random is not None and len(random)]
    fields = [numbers[start : start + COUNT] for start in range(0, len(numbers), COUNT)]
    for of_field in fields:
        assert len(set(of_field)) == COUNT
        # A decoder that needs fewer gets the first ones: an image and its mask are cut alike.
        for one, other in zip(of_field, fields[0], strict=True):
            count = min(len(one), len(other))
            assert one[:count] == other[:count]


def test_shapes_and_memory(pictures):
    (batch,) = Loader(
        pictures,
        COUNT,
        decode=DECODINGS["crop"],
        fields=["one", "two", "raw", "maybe"],
        num_threads=2,
    )
    for key in ("one", "two", "raw"):
        assert batch[key].shape == (COUNT, 16, 16, 3) and batch[key].dtype == np.uint8
        assert batch[key].__array_interface__["data"][0] % 64 == 0
        assert batch[key].flags.c_contiguous
    assert [value is None for value in batch["maybe"]] == [i % 4 == 2 for i in range(COUNT)]
    (plainly,) = Loader(pictures, COUNT, fields=["one", "two", "raw"])
    assert [image.shape for image in plainly["one"]] == [
        (20 + i, 30 + i % 5, 3) for i in range(COUNT)
    ]
    assert plainly["two"].shape == (COUNT, 24, 24, 3)
    np.testing.assert_array_equal(plainly["raw"], pictures.batch(range(COUNT))["raw"])
    np.testing.assert_array_equal(plainly["one"][3], pixels(3, 23, 33))


def test_channels_first(pictures):
    for decode in (DECODINGS["crop"], {"one": vision.Resize(14)}):
        last = Loader(pictures, 6, decode=decode, num_threads=2)
        first = Loader(pictures, 6, decode=decode, layout="NCHW", num_threads=2)
        for one, other in zip(last, first, strict=True):
            for key in ("one", "two", "maybe"):
                for image, turned in zip(one[key], other[key], strict=True):
                    if image is not None:
                        np.testing.assert_array_equal(np.moveaxis(image, -1, 0), turned)
            assert other["raw"].shape == ((6, 3, 16, 16) if "raw" in decode else (6, *RAW))
    turned = next(iter(first))["two"]
    assert turned.strides[1] == 1
    gray = next(iter(Loader(pictures, 6, decode=DECODINGS["gray"], layout="NCHW")))
    assert gray["one"].shape == (6, 8, 8)

    def transform(sample):
        assert sample["two"].shape == (3, 24, 24)
        return sample

    assert len(list(Loader(pictures, 6, transform=transform, layout="NCHW"))) == 4


def test_a_picture_that_is_none(pictures):
    decode = {"maybe": vision.Resize((6, 5))}
    (batch,) = Loader(pictures, COUNT, fields=["maybe"], decode=decode, fill_null={"maybe": 0})
    assert batch["maybe"].shape == (COUNT, 6, 5, 3)
    assert [not image.any() for image in batch["maybe"]] == [i % 4 == 2 for i in range(COUNT)]
    for parts in ({"num_threads": 5}, {"num_threads": 0}):
        loader = Loader(pictures, COUNT, fields=["maybe", "label"], decode=decode, **parts)
        (batch,) = loader
        assert [value is None for value in batch["maybe"]] == [i % 4 == 2 for i in range(COUNT)]
        assert {value.shape for value in batch["maybe"] if value is not None} == {(6, 5, 3)}


def test_samples_one_by_one(pictures):
    wanted = by_sample(pictures, Loader(pictures, 8, decode=DECODINGS["crop"]))
    for one in Loader(pictures, decode=DECODINGS["crop"], num_threads=2):
        assert {key: plain(np.asarray(one[key])) for key in ("one", "two", "raw")} == wanted[
            int(one["label"])
        ]


def test_pictures_of_datasets_that_are_made_of_others(pictures, tmp_path):
    other = make_numbers(str(tmp_path / "a.rec"), COUNT)
    undone = dsrecords.zip([pictures.select_fields(["one", "raw"]), other])
    together = Loader(undone, 6, decode={"one": CROP, "raw": CROP}, num_threads=2)
    for batch in together:
        assert batch["one"].shape == batch["raw"].shape == (6, 16, 16, 3)
    mixed = Loader(dsrecords.mix([pictures, pictures]), 6, decode={"one": CROP}, num_threads=2)
    assert next(iter(mixed))["one"].shape == (6, 16, 16, 3)


def test_a_picture_that_is_drawn_twice_is_cropped_in_another_way(pictures):
    sampler = Sampler(pictures, 12, weights=[1.0] + [0.0] * (COUNT - 1))
    batch = next(iter(Loader(pictures, sampler=sampler, decode={"one": CROP}, fields=["one"])))
    assert len({image.tobytes() for image in batch["one"]}) > 6


def test_what_is_no_picture_cannot_be_decoded(pictures):
    with pytest.raises(SchemaError, match="label"):
        Loader(pictures, 4, decode={"label": CROP})
    with pytest.raises(SchemaError):
        Loader(pictures, 4, decode={"label": "rgb"})


@pytest.mark.slow
def test_processes_crop_in_the_same_way(pictures):
    wanted = by_sample(pictures, Loader(pictures, 8, decode=DECODINGS["crop"]))
    with Loader(pictures, 8, decode=DECODINGS["crop"], num_processes=1) as loader:
        assert by_sample(pictures, loader) == wanted
