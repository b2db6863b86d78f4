"""Decoders that cut, resize and mirror: the same with every installed package, and from given numbers alone."""

import io as memory
import os
import pickle
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import python, shown
from PIL import Image, ImageOps
from sameness import same
from test_image_arrays import encoded, image_of, png
from test_vision import gradient, photograph

import dsrecords
from dsrecords import DecodeError, make_dataset, vision
from dsrecords._vision import exif, filters, jpeg, plans

HALVES = np.full(plans.NUMBERS_OF_BOX + 1, 0.5)
WHOLE = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0)}  # of a square image: all of it
SHAPES = {"rgb": (3,), "gray": (), "rgba": (4,)}
INSTALLED = {"all": (), "no simplejpeg": ("simplejpeg",), "no OpenCV": ("cv2",), "Pillow": ("cv2", "simplejpeg")}  # fmt: skip


@pytest.fixture(params=INSTALLED)
def only(request, monkeypatch):
    """As if some of the optional packages were not installed."""
    missing = INSTALLED[request.param]
    for package in {"cv2", "simplejpeg"} - set(missing):
        pytest.importorskip(package)
    find = filters.installed

    def installed(module):
        return None if module in missing else find(module)

    monkeypatch.setattr(filters, "installed", installed)
    monkeypatch.setattr(jpeg, "installed", installed)
    return missing


def spots(width, height, mode="RGB", seed=0):
    """Something with edges in both directions that no filter shows as it is."""
    rng = np.random.default_rng(seed)
    channels = len(Image.new(mode, (1, 1)).getbands())
    small = rng.integers(0, 256, (max(height // 8, 2), max(width // 8, 2), channels), np.uint8)
    if channels == 1:
        small = small[:, :, 0]
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def numbers(seed, count=plans.NUMBERS_OF_BOX + 1):
    return np.random.default_rng(seed).random(count)


def difference(a, b):
    return np.abs(a.astype(int) - b).mean()


# Which part of an image


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (30, 40), (375, 500)])
def test_random_box_is_within_the_image_and_has_area_and_ratio_as_asked_for(size):
    height, width = size
    for seed in range(300):
        box = plans.random_box(*size, (0.2, 0.7), (0.5, 2.0), numbers(seed).tolist())
        assert box.height > 0 and box.width > 0 and box.top >= 0 and box.left >= 0
        assert box.top + box.height <= height and box.left + box.width <= width
        if min(size) > 1:  # each side is rounded
            assert 0.2 * 0.94 <= box.height * box.width / (height * width) <= 0.7 * 1.06
            assert 0.5 * 0.9 <= box.width / box.height <= 2.0 * 1.1


def test_random_box_is_that_of_torchvisions_method():
    given = [0.0] * plans.NUMBERS_OF_BOX
    given[0], given[1] = 0.5, 0.5  # the area is (0.1 + 0.5) / 2 = 0.3 of 20,000, the ratio 1
    given[-2:] = 0.5, 0.999
    # sqrt(6,000) = 77.46; there are 24 positions down, and 124 across
    assert plans.random_box(100, 200, (0.1, 0.5), (0.5, 2.0), given) == (12, 123, 77, 77)


def test_box_that_does_not_fit_is_drawn_again_and_at_last_is_the_middle():
    given = [0.999] * plans.NUMBERS_OF_BOX
    # almost all of the area, twice as wide as high: not within a square
    assert plans.random_box(100, 100, (0.1, 1.0), (0.5, 2.0), given) == (0, 0, 100, 100)
    assert plans.random_box(100, 600, (0.9, 1.0), (0.5, 2.0), given) == (0, 200, 100, 200)
    assert plans.random_box(600, 100, (0.9, 1.0), (0.5, 2.0), given) == (200, 0, 200, 100)
    assert plans.random_box(2, 1, (0.9, 1.0), (50.0, 60.0), given) == (0, 0, 1, 1)
    tenth = list(given)
    tenth[18:20] = 0.0, 0.5
    assert plans.random_box(100, 100, (0.25, 1.0), (0.5, 2.0), tenth) == (50, 50, 50, 50)


@pytest.mark.parametrize("number", [0.0, 0.5, 1 - 2**-53])
def test_box_touches_both_edges_but_never_crosses_them(number):
    given = [0.0, 0.5] * plans.TRIES + [number, number]
    box = plans.random_box(64, 64, (0.25, 1.0), (0.5, 2.0), given)
    assert box == (int(number * 33), int(number * 33), 32, 32)


def test_result_depends_on_the_numbers_alone(only):
    data = encoded(spots(60, 50), "JPEG")
    crop = vision.RandomResizedCrop((20, 24))
    first = [crop.decode_image(data, numbers(seed)) for seed in range(20)]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda seed: crop.decode_image(data, numbers(seed)), range(20)))
    assert all(same(a, b) for a, b in zip(first, again))
    assert len({a.tobytes() for a in first}) == 20


def test_image_and_mask_are_cut_and_mirrored_alike(only):
    labels = np.arange(64 * 64).reshape(64, 64) // 64
    image = np.stack([labels * 4] * 3, -1).astype(np.uint8)
    mask = labels.astype(np.uint8)
    for seed in range(5):
        cut = vision.RandomResizedCrop(32).convert(image, numbers(seed))
        of_mask = vision.RandomResizedCrop(32, mode="gray", interpolation="nearest")
        labels_cut = of_mask.convert(mask, numbers(seed))
        assert set(np.unique(labels_cut)) <= set(range(64))
        assert np.abs(cut[:, :, 0].astype(int) - 4 * labels_cut.astype(int)).max() <= 6


# What is made of it


@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_part_is_pillows_crop_resized(only, mode, format):
    data = encoded(spots(90, 70), format)
    size = (40, 36)
    crop = vision.RandomResizedCrop(size, flip=1, mode=mode)
    full = vision.Decode(mode).decode_image(data)
    for seed in range(4):
        given = numbers(seed, crop.num_random)
        top, left, height, width = plans.random_box(70, 90, crop.scale, crop.ratio, given.tolist())
        part = Image.fromarray(full[top : top + height, left : left + width].copy())
        expected = np.asarray(part.resize(size[::-1], Image.Resampling.BILINEAR))[:, ::-1]
        got = crop.decode_image(data, given)
        assert got.shape == (*size, *SHAPES[mode]) == crop.shape and got.dtype == np.uint8
        assert difference(got, expected) <= 2


FILES = {
    **{f"{mode} PNG": lambda m=mode: encoded(image_of(m, (64, 48)), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")},
    **{f"{mode} JPEG": lambda m=mode: encoded(image_of(m, (64, 48)), "JPEG") for mode in ("L", "RGB", "CMYK")},
    **{f"{mode} TIFF": lambda m=mode: encoded(image_of(m, (64, 48)), "TIFF") for mode in ("CMYK", "YCbCr", "LAB", "PA")},
    "transparent palette": lambda: encoded(image_of("P", (64, 48)), "PNG", transparency=3),
    "16 bits": lambda: png(np.arange(48 * 64 * 3).reshape(48, 64, 3) * 7, 2),
    "RGB progressive": lambda: encoded(image_of("RGB", (64, 48)), "JPEG", progressive=True),
    "RGB 4:4:4": lambda: encoded(image_of("RGB", (64, 48)), "JPEG", subsampling=0),
    "RGB kept": lambda: encoded(image_of("RGB", (64, 48)), "JPEG", keep_rgb=True),
    "with a comment": lambda: encoded(image_of("RGB", (64, 48)), "JPEG", comment=b"\xff\xd9\xff\xc0"),
    "with XMP": lambda: encoded(image_of("RGB", (64, 48)), "JPEG", xmp=b"<x:xmpmeta tiff:Orientation='3'/>"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("mode", SHAPES)
def test_colours_are_converted_as_decode_does(only, name, mode):
    data = FILES[name]()
    expected = vision.Decode(mode, size=(48, 64)).decode_image(data)  # by Pillow, whatever is there
    for decoder in (
        vision.CenterCrop((48, 64), mode=mode),
        vision.Resize(48, mode=mode),
        vision.Decode(mode),
    ):
        got = decoder.decode_image(data)
        assert same(got, expected)
        assert got.flags.writeable and got.flags.c_contiguous
    mirrored = vision.Resize((48, 64), flip=1.0, mode=mode).decode_image(data)
    assert same(mirrored, np.ascontiguousarray(expected[:, ::-1]))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_part_is_of_the_upright_image(only, orientation, format):
    tags = Image.Exif()
    tags[0x0112] = orientation
    data = encoded(spots(80, 48), format, exif=tags)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(memory.BytesIO(data))))
    assert same(vision.Decode("rgb").decode_image(data), upright)
    height, width = upright.shape[:2]
    crop = vision.RandomResizedCrop((30, 40), scale=(0.3, 0.5), flip=0)
    given = numbers(orientation, crop.num_random)
    box = plans.random_box(height, width, crop.scale, crop.ratio, given.tolist())
    part = upright[box.top : box.top + box.height, box.left : box.left + box.width]
    assert same(crop.decode_image(data, given), crop_of(part, (30, 40)))


def crop_of(part, size):
    return vision.Resize(size).convert(np.ascontiguousarray(part))


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("odd", [0, 3])
def test_jpeg_is_decoded_smaller_where_the_part_keeps_the_pixels(
    only, monkeypatch, factor, orientation, odd
):
    side = 32 * factor + odd
    data = photograph(2 * side, side, orientation)
    sizes = []
    if "simplejpeg" in only:
        noted = Image.Image.transpose if orientation == 6 else Image.Image.crop
        name = noted.__name__

        def noting(self, *arguments):
            sizes.append(self.size[::-1])
            return noted(self, *arguments)

        monkeypatch.setattr(Image.Image, name, noting)
    else:
        decode = jpeg.installed("simplejpeg").decode_jpeg

        def noting(*arguments, **options):
            pixels = decode(*arguments, **options)
            sizes.append(pixels.shape[:2])
            return pixels

        monkeypatch.setattr(jpeg.installed("simplejpeg"), "decode_jpeg", noting)
    middle = vision.RandomResizedCrop(32, scale=(0.5, 0.5), ratio=(1, 1), flip=0)
    got = middle.decode_image(data, HALVES[: middle.num_random])
    assert sizes[0] == (-(-side // factor), -(-2 * side // factor))
    box = plans.random_box(
        *((side, 2 * side) if orientation == 1 else (2 * side, side)),
        (0.5, 0.5),
        (1, 1),
        [0.5] * 22,
    )
    full = vision.Decode("rgb").decode_image(data)
    part = full[box.top : box.top + box.height, box.left : box.left + box.width]
    expected = Image.fromarray(part.copy()).resize((32, 32), Image.Resampling.BILINEAR)
    assert difference(got, np.asarray(expected)) <= 5


def test_of_labels_no_means_are_taken(only):
    pixels = np.where(np.add.outer(np.arange(128), np.arange(128)) // 32 % 2, 255, 0).astype(
        np.uint8
    )
    data = encoded(Image.fromarray(pixels), "JPEG", quality=100)
    labels = vision.Resize((16, 16), mode="gray", interpolation="nearest").decode_image(data)
    assert same(labels, vision.Decode("gray").decode_image(data)[4::8, 4::8])


@pytest.mark.parametrize(
    "size",
    [(20, 20), (60, 80), (24, 96), (96, 24), (36, 48), (45, 60), (16, 16), (10, 14), (6, 96)],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_opencv_and_pillow_agree(monkeypatch, size, mode):
    pytest.importorskip("cv2")
    pixels = np.asarray(spots(64, 48, mode))
    mean = {"bilinear": 3, "bicubic": 0, "nearest": 0}
    name = "rgb" if mode == "RGB" else "gray"
    for interpolation, most in mean.items():
        resize = vision.Resize(size, mode=name, interpolation=interpolation)
        with monkeypatch.context() as patched:
            patched.setattr(filters, "installed", lambda module: None)
            by_pillow = resize.convert(pixels)
        assert difference(resize.convert(pixels), by_pillow) <= most


def test_what_is_much_smaller_is_a_mean_and_no_choice(only):
    pixels = np.zeros((64, 64), np.uint8)
    pixels[::2] = (
        255  # every second row: a filter that looks at two pixels by two would see stripes
    )
    for size in [(16, 16), (16, 64), (16, 100)]:
        assert (
            np.abs(vision.Resize(size, mode="gray").convert(pixels).astype(int) - 127).max() <= 12
        )


def test_colour_of_what_is_transparent_does_not_bleed(only):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4] = 255, 0, 0, 255
    got = vision.Resize((8, 32), mode="rgba").convert(pixels)
    assert (got[..., 0][got[..., 3] > 8] > 250).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.filterwarnings("ignore")  # of Pillow, about the broken ones
def test_orientation_is_what_pillow_reads(order):
    """Of entries that are right and of ones that are not: what differs would be turned wrongly."""
    values = [0x0112, 0x010F, 0, 1, 2, 3, 4, 6, 8, 9, 256, 65535]
    rng = np.random.default_rng(0)
    stated = 0
    for _ in range(400):
        count = int(rng.integers(0, 4))
        entries = [
            struct.pack(
                f"{order}HHIHH",
                rng.choice([0x0112, 0x010F]),
                rng.choice([3, 3, 3, 4, 1]),
                rng.choice([1, 1, 1, 2]),
                *rng.choice(values, 2),
            )
            for _ in range(count)
        ]
        mark = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
        said = count + int(rng.integers(0, 8) == 0)
        data = mark + struct.pack(f"{order}H", said) + b"".join(entries) + bytes(4)
        ours = exif.stated_orientation(memoryview(data))
        if ours is None:
            continue
        stated += 1
        theirs = Image.Exif()
        theirs.load(exif.EXIF + data)
        assert theirs.get(0x0112) == ours
    assert stated > 50
    for end in range(20):
        assert exif.stated_orientation(memoryview(data[:end])) is None


# CenterCrop and Resize


@pytest.mark.parametrize(
    ("image", "window"),
    [
        ((50, 60), (30, 41)),
        ((51, 60), (30, 31)),
        ((20, 60), (30, 40)),
        ((20, 21), (31, 32)),
        ((30, 40), (30, 40)),
    ],
)
def test_center_crop_is_torchvisions(only, image, window):
    pixels = np.asarray(spots(image[1], image[0]))
    padded = pixels
    missing = [max(0, w - i) for w, i in zip(window, image)]
    before = [m // 2 for m in missing]
    after = [(m + 1) // 2 for m in missing]
    padded = np.pad(pixels, [*zip(before, after), (0, 0)])
    top = round((padded.shape[0] - window[0]) / 2)
    left = round((padded.shape[1] - window[1]) / 2)
    expected = np.ascontiguousarray(padded[top : top + window[0], left : left + window[1]])
    assert same(vision.CenterCrop(window).convert(pixels), expected)
    assert same(
        vision.CenterCrop(window).decode_image(encoded(Image.fromarray(pixels), "PNG")), expected
    )


def test_center_crop_of_the_resized_image(only):
    pixels = np.asarray(spots(90, 60))
    resized = vision.Resize(32).convert(pixels)
    assert resized.shape == (32, 48, 3)
    crop = vision.CenterCrop(28, resize=32)
    assert same(crop.convert(pixels), np.ascontiguousarray(resized[2:30, 10:38]))
    assert same(
        vision.CenterCrop(28, flip=1, resize=32).convert(pixels),
        np.ascontiguousarray(resized[2:30, 10:38][:, ::-1]),
    )
    assert crop.shape == (28, 28, 3) and crop.num_random == 0
    padded = vision.CenterCrop(40, resize=32).convert(pixels)
    assert not padded[:4].any() and same(padded[4:36], np.ascontiguousarray(resized[:, 4:44]))


def test_resize_keeps_the_proportions_as_decode_does(only):
    data = encoded(gradient(96, 48), "PNG")
    assert vision.Resize(24).decode_image(data).shape == (24, 48, 3)
    assert vision.Resize(24, max_size=40).decode_image(data).shape == (20, 40, 3)
    assert vision.Resize((7, 9), mode="gray").decode_image(data).shape == (7, 9)
    assert vision.Resize(24).shape is None
    assert vision.Resize((7, 9), mode="gray").shape == (7, 9)


# The protocol

DECODERS = {
    "random": vision.RandomResizedCrop((20, 30)),
    "random, gray": vision.RandomResizedCrop(20, flip=0, mode="gray"),
    "center": vision.CenterCrop(20, resize=24),
    "center, flipped by chance": vision.CenterCrop(20, 0.5, "rgba"),
    "resize": vision.Resize((20, 30), flip=0.25),
    "decode": vision.Decode("rgb", size=(20, 30)),
    "decode, gray": vision.Decode("gray", size=(20, 30)),
}
NUM_RANDOM = {"random": 23, "random, gray": 22, "center, flipped by chance": 1, "resize": 1}


@pytest.mark.parametrize("name", DECODERS)
def test_into_an_array_is_the_same(only, name):
    decoder = DECODERS[name]
    assert decoder.num_random == NUM_RANDOM.get(name, 0)
    image = spots(64, 48)
    given = numbers(1, decoder.num_random) if decoder.num_random else None
    batch = np.full((3, *decoder.shape), 7, np.uint8)
    for format in ("JPEG", "PNG"):
        data = encoded(image, format)
        decoder.decode_image_into(memoryview(data), batch[1], given)
        assert same(batch[1].copy(), decoder.decode_image(data, given))
    decoder.convert_into(np.asarray(image), batch[1], given)
    assert same(batch[1].copy(), decoder.convert(np.asarray(image), given))
    assert (batch[[0, 2]] == 7).all()
    assert same(batch[1].copy(), decoder.decode_image(data, given))  # of the PNG
    copied = pickle.loads(pickle.dumps(decoder))
    assert copied == decoder and hash(copied) == hash(decoder) and copied.shape == decoder.shape
    assert repr(copied) == repr(decoder)


@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize("shape", [(), (1,), (2,), (3,), (4,)], ids=shown)
def test_pixels_of_any_number_of_channels(only, mode, shape):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 12, *shape), np.uint8)
    plain = pixels[..., 0] if shape == (1,) else pixels
    expected = np.array(
        Image.fromarray(plain).convert({"rgb": "RGB", "gray": "L", "rgba": "RGBA"}[mode])
    )
    for decoder in (vision.CenterCrop((16, 12), mode=mode), vision.Decode(mode)):
        got = decoder.convert(pixels)
        assert same(got, expected)
        assert not np.shares_memory(got, pixels)
    strided = np.repeat(pixels, 2, axis=1)[:, ::-2]
    assert same(
        vision.Resize((16, 12), mode=mode).convert(strided), np.ascontiguousarray(expected[:, ::-1])
    )


def test_what_is_no_image_of_pixels_is_refused():
    resize = vision.Resize((4, 4))
    with pytest.raises(TypeError, match="uint8, not float32"):
        resize.convert(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(TypeError, match="uint8, not list"):
        resize.convert([[0]])
    for shape in [(4,), (4, 4, 5), (4, 4, 0), (0, 4, 3), (1, 4, 4, 3)]:
        with pytest.raises(ValueError, match="pixels must have the shape"):
            resize.convert(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("name", DECODERS)
def test_array_that_cannot_take_the_result_is_refused(name):
    decoder = DECODERS[name]
    data = encoded(spots(64, 48), "PNG")
    height, width, *channels = decoder.shape
    wrong = [
        np.empty((height + 1, width, *channels), np.uint8),
        np.empty(decoder.shape, np.int8),
        np.empty((height, 2 * width, *channels), np.uint8)[:, ::2],
        np.empty((height, width, 7), np.uint8),
    ]
    for out in wrong:
        with pytest.raises(ValueError, match="out must be uint8 of the shape"):
            decoder.decode_image_into(data, out, None)
        with pytest.raises(ValueError, match="out must be uint8 of the shape"):
            decoder.convert_into(np.zeros((9, 9, 3), np.uint8), out, None)


def test_numbers_of_another_count_are_refused():
    data = encoded(spots(64, 48), "PNG")
    for decoder, count in [(vision.RandomResizedCrop(8), 23), (vision.Resize(8, flip=0.5), 1)]:
        with pytest.raises(
            ValueError, match=rf"random must have the shape \({count},\), not \(5,\)"
        ):
            decoder.decode_image(data, np.zeros(5))


def test_flip_is_as_often_as_asked_for():
    pixels = np.asarray(gradient(8, 8))
    kept = vision.Resize((8, 8)).convert(pixels)
    for flip, number, is_flipped in [
        (0.0, 0.0, False),
        (0.3, 0.29, True),
        (0.3, 0.3, False),
        (1.0, 0.99, True),
    ]:
        resize = vision.Resize((8, 8), flip=flip)
        got = resize.convert(pixels, np.array([number])[: resize.num_random])
        assert same(got, np.ascontiguousarray(kept[:, ::-1]) if is_flipped else kept)


def test_without_numbers_each_image_and_each_process_draws_its_own():
    data = encoded(spots(64, 64), "PNG")
    crop = vision.RandomResizedCrop(32)
    results = [crop.decode_image(data).tobytes() for _ in range(3)]
    for _ in range(2):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.write(write, crop.decode_image(data).tobytes())
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            results.append(pipe.read())
        assert os.waitpid(child, 0)[1] == 0
    assert len(set(results)) == 5  # 2**-53 is the grain of a position


def test_large_images_are_resized_in_a_child_of_a_process_that_did(only):
    pixels = np.zeros((1000, 1000, 3), np.uint8)
    for size in (600, 900, 1100):  # OpenCV has threads of its own for these
        vision.Resize((size, size)).convert(pixels)
    child = os.fork()
    if not child:
        shapes = [vision.Resize((size, size)).convert(pixels).shape for size in (600, 1100)]
        os._exit(0 if shapes == [(600, 600, 3), (1100, 1100, 3)] else 1)
    assert os.waitpid(child, 0)[1] == 0


_WITH_OPENCV = """
import os
import cv2
import numpy as np
cv2.setNumThreads(2)
pixels = np.zeros((400, 400, 3), np.uint8)
cv2.GaussianBlur(pixels, (3, 3), 0)  # by threads of its own
from dsrecords import vision
print(cv2.getNumThreads())
resize = vision.Resize((200, 200))
print(cv2.getNumThreads())
child = os.fork()
if not child:
    os._exit(resize.convert(pixels).shape != (200, 200, 3))
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
def test_opencv_has_no_threads_of_its_own_which_a_fork_would_wait_for():
    pytest.importorskip("cv2")
    assert python(_WITH_OPENCV).split() == ["2", "1", "0"]


def test_a_fork_does_not_end_threads_that_only_its_parent_has(monkeypatch):
    cv2 = pytest.importorskip("cv2")
    filters.installed.cache_clear()
    monkeypatch.setattr(filters, "_inherited", {"cv2"})
    monkeypatch.setattr(cv2, "setNumThreads", None)  # calling it would fail
    assert filters.installed("cv2") is cv2
    monkeypatch.undo()
    filters.installed.cache_clear()
    assert filters.installed("cv2") is cv2


# Datasets


def test_decoder_of_a_dataset_cuts_each_sample_and_stacks_a_batch(tmp_path, only):
    files = [encoded(spots(64 + i, 48, seed=i), "JPEG") for i in range(3)]
    path, _ = make_dataset([{"x": file} for file in files], tmp_path / "a.rec", {"x": "image"})
    ds = dsrecords.open(path, decode={"x": vision.RandomResizedCrop(16)})
    assert ds[0, "x"].shape == (16, 16, 3)
    assert {image.shape for image in ds.batch([0, 1, 2])["x"]} == {(16, 16, 3)}
    assert len({ds[1, "x"].tobytes() for _ in range(3)}) == 3
    assert pickle.loads(pickle.dumps(ds))[2, "x"].shape == (16, 16, 3)


def test_image_that_cannot_be_decoded_is_an_error_with_its_record(tmp_path, only):
    for format in ("JPEG", "PNG"):
        data = encoded(spots(64, 48), format)
        files = [data, data[: len(data) // 2], data[:30]]
        path, _ = make_dataset(
            [{"x": file} for file in files], tmp_path / "a.rec", {"x": "image"}, overwrite=True
        )
        for decoder in (
            vision.RandomResizedCrop(16),
            vision.CenterCrop(16),
            vision.Resize(16),
            vision.Decode(),
        ):
            ds = dsrecords.open(path, decode={"x": decoder})
            for i in (1, 2):
                with pytest.raises(
                    DecodeError,
                    match=rf"record {i}, field 'x', .*(cannot decode|cannot read) this {format}",
                ):
                    ds[i]
    with pytest.raises(DecodeError, match="not an image"):
        vision.Resize(16).decode_image(b"no image at all")


# Hostile files


def with_size(data, height, width):
    """A JPEG whose header claims another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[at + 4 :]


def test_claims_of_a_header_take_no_memory(only, monkeypatch):
    data = with_size(encoded(spots(64, 48), "JPEG"), 65000, 65000)
    for decoder in (
        vision.RandomResizedCrop(16),
        vision.CenterCrop(16),
        vision.Resize(16),
        vision.Decode(),
    ):
        with pytest.raises(DecodeError, match=r"4,225,000,000 pixels|MAX_IMAGE_PIXELS"):
            decoder.decode_image(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DecodeError, match="MAX_IMAGE_PIXELS"):
        vision.Resize((4, 4)).decode_image(encoded(spots(64, 48), "JPEG"))


def test_sizes_within_pillows_limit_are_bounded_by_the_budget(only, monkeypatch):
    monkeypatch.setenv("DSRECORDS_BUDGET", "1000000")
    monkeypatch.setattr("dsrecords._types.budget._MOST", 1_000_000)
    data = with_size(encoded(spots(64, 48), "JPEG"), 4000, 4000)
    with pytest.raises(DecodeError, match="budget"):
        vision.CenterCrop(16).decode_image(data)


def test_sliver_is_not_resized_to_more_pixels_than_images_may_have(only):
    data = encoded(Image.new("L", (500, 5)), "PNG")
    for decoder in (vision.Resize(10_000), vision.CenterCrop(8, resize=10_000)):
        with pytest.raises(DecodeError, match="10,000,000,000 pixels are more"):
            decoder.decode_image(data)
        with pytest.raises(DecodeError, match="10,000,000,000 pixels are more"):
            decoder.convert(np.zeros((5, 500), np.uint8))


@pytest.mark.parametrize("size", [(2, 60_000), (60_000, 2)])
def test_slivers_can_be_resized(only, size):
    data = encoded(Image.new("RGB", size[::-1], (255, 0, 0)), "JPEG")
    for decoder in (vision.RandomResizedCrop(16), vision.Resize((16, 16)), vision.CenterCrop(16)):
        got = decoder.decode_image(data)
        assert got.shape == (16, 16, 3) and got[8, 8, 0] > 250


@pytest.mark.parametrize("seed", range(4))
def test_size_that_is_checked_is_the_one_that_simplejpeg_finds(seed):
    """Else a file could claim a small image to us, and fill the memory as a large one."""
    simplejpeg = pytest.importorskip("simplejpeg")
    rng = np.random.default_rng(seed)
    data = encoded(spots(64, 48), "JPEG", exif=b"Exif\0\0II*\0", comment=b"\xff\xc0\xff\xd8" * 9)
    frame = data.index(b"\xff\xc0\x00\x11")
    agreed = 0
    for _ in range(1500):
        broken = bytearray(data)
        for at in rng.integers(2, frame + 12, rng.integers(1, 4)):
            broken[at] = rng.choice(
                [0, 1, 2, 0xC0, 0xC2, 0xC4, 0xD0, 0xD8, 0xFE, 0xFF, rng.integers(256)]
            )
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(bytes(broken))
            header = jpeg._header(memoryview(bytes(broken)))
        except (ValueError, DecodeError):
            continue
        if header is not None:
            assert (header.height, header.width) == (height, width)
            agreed += 1
    assert agreed > 100


def test_another_size_than_was_checked_is_left_to_pillow(monkeypatch):
    pytest.importorskip("simplejpeg")
    data = encoded(spots(64, 48), "JPEG")
    expected = vision.Decode().decode_image(data)
    real = jpeg._header(memoryview(data))
    for height, width in [(24, 32), (96, 128)]:
        wrong = real._replace(height=height, width=width)
        monkeypatch.setattr(jpeg, "_header", lambda data, wrong=wrong: wrong)
        assert same(vision.Decode().decode_image(data), expected)


def test_headers_that_are_built_unusually_are_left_to_pillow(only):
    image = spots(64, 48)
    data = encoded(image, "JPEG")
    expected = vision.Decode().decode_image(data)
    for inserted in (b"\xff", b"\xff\xff\xff", b"\xff\xfe\x00\x04ab" * 1001, b"\xff\xe5\x00\x02"):
        got = vision.Decode().decode_image(data[:2] + inserted + data[2:])
        assert same(got, expected)
    assert jpeg._header(memoryview(data[:2] + b"\xff\xd0" + data[2:])) is None
    assert jpeg._header(memoryview(data[:2] + b"\xff\xe0\x00\x00" + data[2:])) is None
    assert jpeg._header(memoryview(data[:2] + b"\x00\xc0\x00\x11\x08\0\1\0\1\3" + data[2:])) is None
    for end in range(160):
        assert jpeg._header(memoryview(data[:end])) is None


# Arguments

WRONG = {
    "size": [0, -1, True, 2.5, "224", None, (1,), (0, 5), (5, 5.0), (1, 2, 3), [5, 5]],
    "flip": [-0.1, 1.5, True, "0.5", None, float("nan")],
    "mode": ["bgr", None, 3],
    "interpolation": ["linear", None, 1],
    "scale": [
        0.5,
        (0.5,),
        (0, 1),
        (0.5, 0.4),
        (0.5, 1.1),
        (True, 1),
        ("a", 1),
        [0.1, 1.0],
        (0.1, float("nan")),
    ],
    "ratio": [1.0, (0.0, 1.0), (2, 1), (1, float("inf")), (1, True)],
    "resize": [0, True, 2.5, (5, 5)],
    "max_size": [0, True, 2.5, (5, 5)],
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_argument_is_named(name):
    for decoder in (vision.RandomResizedCrop, vision.CenterCrop, vision.Resize):
        if name not in decoder.__dataclass_fields__:
            continue
        for value in WRONG[name]:
            with pytest.raises(ValueError, match=rf"^{name} must be"):
                decoder(**{"size": 8, name: value})
    with pytest.raises(ValueError, match="max_size is for"):
        vision.Resize((8, 8), max_size=9)
