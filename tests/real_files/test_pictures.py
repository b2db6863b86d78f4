"""Images that Pillow and OpenCV write: kept to the byte, and decoded to what these libraries read themselves."""

import io

import cv2
import numpy as np
import pytest
from conftest import large
from PIL import Image, ImageCms, ImageOps, ImageSequence
from storing import back, read, refused, store

import dsrecords
from dsrecords import DSRecordsError, SchemaError

RANDOM = np.random.default_rng(12)
HEIGHT, WIDTH = 16, 24
SMOOTH = (
    np.add.outer(np.arange(HEIGHT) * 6, np.arange(WIDTH) * 5)[:, :, None] + [0, 20, 40]
).astype(np.uint8)

# What Pillow writes and opens again. Of the first, files are always taken; others may be refused.
KNOWN = {
    "AVIF": ("L", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("1", "L", "P", "RGB", "RGBA"),
    "ICO": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "JPEG": ("1", "L", "RGB", "CMYK", "YCbCr"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA", "I;16"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "PPM": ("1", "L", "RGB", "I", "F"),
    "TGA": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "I;16", "I;16B", "F"),
    "WEBP": ("L", "LA", "RGB", "RGBA", "P"),
}  # fmt: skip
OTHERS = {"DDS": ("RGBA",), "PCX": ("P",), "QOI": ("RGB",), "SGI": ("L",), "SPIDER": ("F",), "MPO": ("RGB",), "DIB": ("RGB",)}  # fmt: skip
FILES = [(format, mode) for format, modes in (KNOWN | OTHERS).items() for mode in modes]
MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "I;16B", "F")  # fmt: skip
TYPES = ("png", "jpeg", "webp", "image")
LOSSLESS = ("png", "image")


def image_of(mode):
    """An image of any mode, of which no two pixels of a row are equal."""
    if mode in ("I;16", "I;16B"):
        words = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 150).astype(
            ">u2" if mode[-1] == "B" else "<u2"
        )
        return Image.frombytes(mode, (WIDTH, HEIGHT), words.tobytes())
    if mode in ("I", "F"):
        numbers = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 150
        return Image.fromarray(numbers.astype("<i4" if mode == "I" else "<f4"))
    colour = Image.fromarray(SMOOTH)
    if mode == "LAB":
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(
            colour, srgb, ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    if mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        colour.putalpha(Image.fromarray(SMOOTH[:, :, 2]))
        through = {"La": "LA", "PA": "P"}.get(mode)
        image = colour.convert(through) if through else colour
        return image.convert(mode)
    return colour.convert(mode)


def file_of(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def array_of(image):
    """What docs/formats.md says that a decoded array has: the pixels as they are, or in RGB(A)."""
    mode = image.mode
    if mode in ("1", "L", "LA", "RGB", "RGBA", "I", "I;16", "F"):
        return np.array(image)
    if mode == "I;16B":
        return np.array(image).astype("<u2")
    if mode == "La":
        return np.array(image.convert("LA"))
    has_alpha = mode in ("PA", "RGBa") or "transparency" in image.info
    return np.array(image.convert("RGBA" if has_alpha else "RGB"))


def agrees(got, wanted):
    """Whether two images are the same: mode, size, pixels and palette."""
    same = (got.mode, got.size) == (wanted.mode, wanted.size) and got.tobytes() == wanted.tobytes()
    return same and got.getpalette() == wanted.getpalette()


def same_array(got, wanted):
    return got.dtype == wanted.dtype and np.array_equal(got, wanted)


# Files


@pytest.mark.parametrize(("format", "mode"), FILES)
def test_a_file_is_kept_and_read_as_pillow_reads_it(tmp_path, format, mode):
    data = file_of(image_of(mode), format)
    wanted = opened(data)
    if format in OTHERS and refused(store, tmp_path, "image", data):
        return
    path = store(tmp_path, "image", data)
    assert read(path, "bytes") == data
    got = read(path)
    assert got.format == wanted.format and agrees(got, wanted)
    assert got.info.keys() == wanted.info.keys()
    pixels = read(path, "array")
    if (
        wanted.mode == "I" and pixels.dtype != np.int32
    ):  # Pillow's numbers are wider than the file's
        pixels = pixels.astype(np.int32)
    assert same_array(pixels, array_of(wanted))


@pytest.mark.parametrize(("format", "mode"), [pair for pair in FILES if pair[0] in KNOWN])
def test_an_untouched_image_keeps_its_files_bytes(tmp_path, format, mode):
    data = file_of(image_of(mode), format)
    file = tmp_path / "picture"
    file.write_bytes(data)
    for source in (file, io.BytesIO(data)):
        with Image.open(source) as image:
            assert back(tmp_path, "image", image, "bytes") == data
    with Image.open(file) as image:
        image.load()
        assert back(tmp_path, "image", image, "bytes") == data
    with Image.open(file) as image:
        image.putpixel((0, 0), image.getpixel((1, 1)))
        image.putpixel((1, 1), image.getpixel((5, 5)))
        if not refused(store, tmp_path, "image", image):
            assert back(tmp_path, "image", image, "bytes") != data


@pytest.mark.parametrize(("format", "mode"), [pair for pair in FILES if pair[0] in KNOWN])
@pytest.mark.parametrize(("decoding", "wanted_mode"), [("rgb", "RGB"), ("gray", "L"), ("rgba", "RGBA")])  # fmt: skip
def test_a_count_of_channels_can_be_asked_for(tmp_path, format, mode, decoding, wanted_mode):
    data = file_of(image_of(mode), format)
    path = store(tmp_path, "image", data)
    wanted = opened(data)
    try:
        got = read(path, decoding)
    except DSRecordsError as error:  # deeper than 8 bits
        assert wanted.mode in ("I", "I;16", "I;16B", "F") and "array" in str(error)
        return
    shape = {"RGB": (3,), "L": (), "RGBA": (4,)}[wanted_mode]
    assert (got.dtype, got.shape) == (np.uint8, (wanted.height, wanted.width, *shape))
    if wanted.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"):
        through = wanted.convert("RGBA") if "transparency" in wanted.info else wanted
        close = np.abs(got.astype(int) - np.array(through.convert(wanted_mode)))
        assert close.max() <= 1  # simplejpeg's grey may round otherwise


@pytest.mark.parametrize("format", KNOWN)
def test_the_size_is_known_without_decoding(tmp_path, format):
    data = file_of(image_of("RGB"), format)
    ds = dsrecords.open(store(tmp_path, "image", data))
    wanted = opened(data)
    assert tuple(ds.image_size(0, "v")) == (wanted.height, wanted.width)


def test_a_big_tiff(tmp_path):
    data = file_of(image_of("RGB"), "TIFF", big_tiff=True)
    assert data[:4] == b"II+\0"
    assert back(tmp_path, "image", data, "bytes") == data
    assert same_array(back(tmp_path, "image", data, "array"), SMOOTH)


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_by_opencv_are_all_there_or_an_error(tmp_path, ending, channels):
    shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
    pixels = RANDOM.integers(0, 2**16, shape).astype(np.uint16)
    _, encoded = cv2.imencode(ending, pixels)
    data = encoded.tobytes()
    path = store(tmp_path, "image", data)
    assert read(path, "bytes") == data
    order = {1: ..., 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]  # OpenCV's colours are BGR
    wanted = pixels if channels == 1 else pixels[:, :, order]
    if not refused(read, path, "array"):
        assert same_array(read(path, "array"), wanted)


# Pillow images and arrays that come from no file


def stays_equal(tmp_path, kind, given, pixels):
    """Whether an image comes back as its pixels, roughly so where the format loses some; None: refused."""
    try:
        path = store(tmp_path, kind, given)
    except SchemaError:
        return None
    got = read(path, "array")
    if kind in LOSSLESS:
        return same_array(got, pixels)
    if kind == "webp" and pixels.ndim == 2:  # it has no grey
        pixels = np.dstack([pixels] * 3)
    return got.shape == pixels.shape and np.abs(got.astype(int) - pixels).max() < 24


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_any_mode_is_kept_or_refused(tmp_path, kind, mode):
    image = image_of(mode)
    outcome = stays_equal(tmp_path, kind, image, array_of(image))
    assert outcome is not False
    if mode == "RGB" or (mode == "L" and kind != "webp"):
        assert outcome
    if kind in LOSSLESS and mode in ("1", "LA", "P", "RGBA", "I;16"):
        assert outcome
        assert agrees(back(tmp_path, kind, image), image)


GREY = SMOOTH[:, :, 0]
ARRAYS = {
    "grey": (GREY, GREY),
    "one channel": (GREY[:, :, None], GREY),
    "two channels": (SMOOTH[:, :, :2], SMOOTH[:, :, :2]),
    "RGB": (SMOOTH, SMOOTH),
    "RGBA": (np.dstack([SMOOTH, GREY]), np.dstack([SMOOTH, GREY])),
    "five channels": (np.dstack([SMOOTH, SMOOTH[:, :, :2]]), None),
    "channels first": (SMOOTH.transpose(2, 0, 1), None),
    "16 bits": (SMOOTH[:, :, 0].astype(np.uint16) * 200, GREY.astype(np.uint16) * 200),
    "16 bits, big-endian": ((GREY * np.uint16(200)).astype(">u2"), GREY * np.uint16(200)),
    "16 bits, colour": (SMOOTH.astype(np.uint16) * 200, SMOOTH.astype(np.uint16) * 200),
    "signed 8 bits": (GREY.view(np.int8), None),
    "bool": (GREY > 100, GREY > 100),
    "float32": (GREY.astype("<f4") / 255, None),
    "float64": (GREY / 255, None),
    "int64": (GREY.astype("<i8"), GREY),
    "no pixels": (np.zeros((0, 4, 3), np.uint8), None),
    "a stack": (np.stack([SMOOTH, SMOOTH]), None),
    "masked": (np.ma.MaskedArray(SMOOTH, SMOOTH > 100), None),
    "backwards": (SMOOTH[::-1, ::-1], SMOOTH[::-1, ::-1]),
    "Fortran order": (np.asfortranarray(SMOOTH), SMOOTH),
    "a memory map": (SMOOTH.view(np.memmap), SMOOTH),
}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_is_kept_or_refused(tmp_path, kind, name):
    given, wanted = ARRAYS[name]
    if wanted is None:
        with pytest.raises(SchemaError):
            store(tmp_path, kind, given)
        return
    assert stays_equal(tmp_path, kind, given, wanted) is not False


# What else an image has: frames, an orientation, a profile


FRAMES = [Image.fromarray(np.full((HEIGHT, WIDTH, 3), (40 * i, 255 - 40 * i, 7), np.uint8)) for i in range(4)]  # fmt: skip


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_frames_are_all_there(tmp_path, format, mode):
    frames = [frame.convert(mode) for frame in FRAMES]
    data = file_of(frames[0], format, save_all=True, append_images=frames[1:])
    path = store(tmp_path, "image", data)
    wanted = [frame.copy() for frame in ImageSequence.Iterator(Image.open(io.BytesIO(data)))]
    assert len(wanted) == 4
    with Image.open(io.BytesIO(data)) as image:
        assert back(tmp_path, "image", image, "bytes") == data
    with Image.open(io.BytesIO(data)) as image:
        image.seek(2)
        if not refused(store, tmp_path, "image", image):  # all of them, or the one it stands at
            kept = back(tmp_path, "image", image)
            assert getattr(kept, "n_frames", 1) == 4 or same_array(
                np.array(kept.convert("RGB")), np.array(wanted[2].convert("RGB"))
            )
    got = read(path)
    assert got.n_frames == 4
    for frame, wanted_frame in zip(ImageSequence.Iterator(got), wanted, strict=True):
        assert agrees(frame, wanted_frame)
    try:
        array = read(path, "array")
    except DSRecordsError as error:
        assert "frames" in str(error) or "pages" in str(error)
    else:
        assert array.shape[0] == 4
        for number, frame in enumerate(wanted):
            shown = frame.convert("RGB") if array.ndim == 4 else frame.convert("L")
            assert np.array_equal(
                array[number, ..., :3] if array.ndim == 4 else array[number], np.array(shown)
            )


def turned(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return exif


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_photograph(tmp_path, format, orientation):
    data = file_of(image_of("RGB"), format, exif=turned(orientation))
    path = store(tmp_path, "image", data)
    wanted = opened(data)
    assert read(path).getexif().get(274) == wanted.getexif().get(274)
    assert format == "TIFF" or wanted.getexif()[274] == orientation  # Pillow turns it itself
    assert same_array(read(path, "array"), np.array(wanted))
    upright = np.array(ImageOps.exif_transpose(wanted))
    got = read(path, "rgb")
    assert got.shape == upright.shape and np.abs(got.astype(int) - upright).max() <= 1


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_an_orientation_is_kept_in_another_format(tmp_path, kind, orientation):
    source = file_of(image_of("RGB"), "TIFF", exif=turned(orientation))
    image = opened(source).resize((30, 20))  # no longer what the file holds
    image.getexif()[274] = orientation
    image.info["exif"] = turned(orientation).tobytes()
    if not refused(store, tmp_path, kind, image):
        assert back(tmp_path, kind, image).getexif().get(274) == orientation


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("kind", TYPES)
def test_a_profile_is_kept_in_every_format(tmp_path, kind):
    image = image_of("RGB")
    image.info["icc_profile"] = PROFILE
    if not refused(store, tmp_path, kind, image):
        assert back(tmp_path, kind, image).info["icc_profile"] == PROFILE
    data = file_of(image, "JPEG", icc_profile=PROFILE)
    assert back(tmp_path, "jpeg", opened(data)).info["icc_profile"] == PROFILE


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
@pytest.mark.parametrize("kind", TYPES)
def test_a_transparent_colour_is_kept_or_refused(tmp_path, kind, mode):
    image = image_of(mode)
    image.info["transparency"] = image.getpixel((3, 3))
    if not refused(store, tmp_path, kind, image):
        got = np.array(back(tmp_path, kind, image).convert("RGBA"))[:, :, 3]
        assert np.array_equal(got, np.array(image.convert("RGBA"))[:, :, 3])


@pytest.mark.large
def test_heic_by_its_plug_in(tmp_path):
    pillow_heif = large("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image_of("RGB").resize((64, 48))).save(buffer, quality=90)
    data = buffer.getvalue()
    path = store(tmp_path, "image", data)
    assert read(path, "bytes") == data
    wanted = np.asarray(pillow_heif.open_heif(io.BytesIO(data)).to_pillow())
    assert same_array(read(path, "array"), wanted) and same_array(read(path, "rgb"), wanted)
