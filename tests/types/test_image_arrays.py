"""`decode="array"`: the same as the reference readers of each format, or an error that says how to go on."""

import io as memory
import struct
import zlib

import numpy as np
import pytest
from conftest import large
from PIL import Image
from sameness import same

from dsrecords import DecodeError, SchemaError
from dsrecords._types.parse import parse

RANDOM = np.random.default_rng(0)


def encoded(image, format, **options):
    buffer = memory.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def image_of(mode, size=(8, 6)):
    count = len(Image.new(mode, size).tobytes())
    image = Image.frombytes(mode, size, RANDOM.bytes(count))
    if mode in ("P", "PA"):
        image.putpalette(RANDOM.bytes(768))
    return image


def array(data, kind="image"):
    return parse(kind).decoder("array", "x")(memoryview(data), True)


def png(pixels, colour_type):
    """A PNG of 16 bits, made by hand: height × width × channel."""

    def chunk(name, data):
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    signature = b"\x89PNG\r\n\x1a\n"
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return signature + body


# What is written is read

TAKEN = [
    *[("bool", shape) for shape in [(4, 5), (4, 5, 1)]],
    *[("uint8", shape) for shape in [(4, 5), (4, 5, 1), (4, 5, 2), (4, 5, 3), (4, 5, 4)]],
    *[(dtype, shape) for dtype in ["<u2", ">u2"] for shape in [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)]],
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "shape"), TAKEN)
@pytest.mark.parametrize("kind", ["png", "image"])
def test_array_comes_back_as_it_was(dtype, shape, kind):
    if dtype[1:] == "u2" and len(shape) == 3:
        pytest.importorskip("cv2")
    high = 2 if dtype == "bool" else np.iinfo(dtype).max
    value = RANDOM.integers(0, high, shape).astype(dtype)
    expected = value.astype(value.dtype.newbyteorder("="))
    if shape[2:] == (1,):
        expected = expected[:, :, 0]
    assert same(array(parse(kind).dump(value)), expected)


def test_messages_name_what_would_keep_an_array():
    cases = {
        ("jpeg", "bool", (4, 5)): "jpeg does not keep an array of bool .* as it is: png would",
        ("webp", "uint16", (4, 5)): "png would",
        ("webp", "uint8", (4, 5)): "png and jpeg would",
        ("jpeg", "uint8", (4, 5, 4)): "png and webp would",
        ("jpeg", "uint16", (4, 5, 3)): "png would",
        ("png", "float32", (4, 5, 3)): r"the type float32\[\*,\*,3\] would keep it",
        ("png", "uint16", (4, 5, 2)): r"the type uint16\[\*,\*,2\] would keep it",
        ("png", "uint8", (3, 32, 32)): r"channels × height × width: .*transpose\(1, 2, 0\)",
        ("webp", "float32", (3, 32, 32)): r"transpose\(1, 2, 0\)",
    }
    for (kind, dtype, shape), message in cases.items():
        with pytest.raises(SchemaError, match=message):
            parse(kind).dump(np.zeros(shape, dtype))


def test_webp_that_is_opaque_everywhere_is_read_as_rgb():
    pixels = RANDOM.integers(0, 255, (4, 5, 4)).astype("u1")
    pixels[..., 3] = 255
    webp = parse("webp")
    data = memoryview(webp.dump(pixels))
    assert webp.decoder("array", None)(data, True).shape == (4, 5, 3)
    assert (webp.decoder("rgba", None)(data, True)[..., 3] == 255).all()


KEPT = {
    "png": {"1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"},
    "jpeg": {"L", "RGB", "CMYK"},
    "webp": {"RGB", "RGBA"},
}
ALL_MODES = [
    *("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"),
    *("I", "F", "I;16", "I;16B", "I;16L"),
]  # fmt: skip


@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize("kind", KEPT)
def test_pillow_image_is_kept_in_its_mode_or_refused(kind, mode):
    image = image_of(mode)
    if mode not in KEPT[kind]:
        with pytest.raises(
            SchemaError, match=f"{kind} does not keep a Pillow image of mode {mode}"
        ):
            parse(kind).dump(image)
        return
    again = Image.open(memory.BytesIO(parse(kind).dump(image)))
    assert again.mode == ("I;16" if mode == "I;16B" else mode)
    if kind == "png":
        assert np.array_equal(np.asarray(again), np.asarray(image))
        assert again.getpalette() == image.getpalette()


@pytest.mark.parametrize("kind", KEPT)
def test_metadata_of_a_changed_image_are_kept(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = bytes(16) + b"RGB " + bytes(108)
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    data = encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif, icc_profile=profile, xmp=xmp)
    image = Image.open(memory.BytesIO(data)).crop((0, 0, 30, 20))
    again = Image.open(memory.BytesIO(parse(kind).dump(image)))
    assert again.getexif()[0x0112] == 6
    assert again.info["icc_profile"] == profile
    assert (again.info.get("xmp") or again.info["XML:com.adobe.xmp"].encode()) == xmp
    grey = image.convert("L")
    if kind != "webp":
        again = Image.open(memory.BytesIO(parse(kind).dump(grey)))
        assert "icc_profile" not in again.info  # which is for colours
        assert again.getexif()[0x0112] == 6


def test_exif_that_the_program_has_changed_is_kept_as_it_is_now():
    image = Image.new("RGB", (8, 6))
    image.getexif()[0x0112] = 8
    for kind in KEPT:
        again = Image.open(memory.BytesIO(parse(kind).dump(image)))
        assert again.getexif()[0x0112] == 8


def test_of_the_tags_of_a_tiff_those_of_the_picture_are_kept():
    data = encoded(Image.new("RGB", (8, 6)), "TIFF", description="a cat", compression="tiff_lzw")
    again = Image.open(memory.BytesIO(parse("jpeg").dump(Image.open(memory.BytesIO(data)))))
    assert dict(again.getexif()) == {0x010E: "a cat"}


# What other programs wrote is read as they read it

AS_PILLOW = {
    "PNG": ["1", "L", "LA", "RGB", "RGBA", "I;16"],
    "TIFF": ["1", "L", "LA", "RGB", "RGBA", "I", "F", "I;16", "I;16B"],
    "PPM": ["1", "L", "RGB"],
    "BMP": ["L", "RGB"],
    "TGA": ["L", "LA", "RGB", "RGBA"],
    "JPEG2000": ["L", "LA", "RGB", "RGBA", "I;16"],
    "ICO": ["RGBA"],
    "DDS": ["RGB", "RGBA"],
    "SGI": ["L", "RGB", "RGBA"],
    "QOI": ["RGB", "RGBA"],
}


@pytest.mark.parametrize(
    ("format", "mode"), [(f, mode) for f in AS_PILLOW for mode in AS_PILLOW[f]]
)
def test_array_is_what_pillow_reads(format, mode):
    Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {format}")
    data = encoded(image_of(mode, (16, 16)), format)
    expected = np.asarray(Image.open(memory.BytesIO(data)))
    got = array(data)
    assert np.array_equal(
        got, expected, equal_nan=mode == "F"
    ) and got.dtype == expected.dtype.newbyteorder("=")
    assert got.flags.writeable and got.dtype.isnative
    if mode == "1":
        assert set(got.view(np.uint8).ravel().tolist()) <= {0, 1}


CONVERTED = {"P": "RGB", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB"}


@pytest.mark.parametrize("mode", CONVERTED)
def test_other_modes_become_colours(mode):
    data = encoded(image_of(mode), "TIFF")
    expected = Image.open(memory.BytesIO(data)).convert(CONVERTED[mode])
    assert same(array(data), np.array(expected))


@pytest.mark.parametrize("transparency", [3, bytes(range(256))])
def test_transparent_palette_becomes_a_channel(transparency):
    image = image_of("P")
    data = encoded(image, "PNG", transparency=transparency)
    expected = Image.open(memory.BytesIO(data)).convert("RGBA")
    assert same(array(data), np.array(expected))


@pytest.mark.parametrize(
    ("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)], ids=["grey", "RGB", "LA", "RGBA"]
)
def test_png_of_16_bits_keeps_them(colour_type, channels):
    cv2 = pytest.importorskip("cv2")
    pixels = RANDOM.integers(0, 65536, (6, 8, channels)).astype(np.uint16)
    data = png(pixels, colour_type)
    expected = pixels[:, :, 0] if channels == 1 else pixels
    assert same(array(data), expected)
    if channels == 3:
        read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert same(array(data), np.ascontiguousarray(read[:, :, ::-1]))


def test_png_of_16_bits_names_the_package_that_keeps_them(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(ImportError, match="pip install opencv-python-headless"):
        array(png(np.zeros((2, 2, 3)), 2))


def test_ppm_of_16_bits_is_refused():
    data = b"P6\n# a comment\n2 1\n65535\n" + bytes(12)
    with pytest.raises(DecodeError, match="samples of 16 bits, of which Pillow would keep 8"):
        array(data)
    assert same(array(b"P5 2 1 65535\n\0\1\xff\xff"), np.array([[1, 65535]], np.uint16))


# Frames


def frames_of(modes, format, **options):
    frames = [image_of(mode) for mode in modes]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    return frames, data


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "I;16", "F"])
def test_all_pages_of_a_tiff_are_read(mode):
    frames, data = frames_of([mode] * 4, "TIFF")
    expected = np.stack([np.array(frame) for frame in frames])
    if mode == "1":
        expected = expected.view(np.uint8) != 0  # the bytes of Pillow's array are 0 and 255
    assert same(array(data), expected)


@pytest.mark.parametrize(
    ("format", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("GIF", {}), ("AVIF", {})]
)
def test_all_frames_of_an_animation_are_read(format, options):
    Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {format}")
    frames, data = frames_of(["RGB"] * 3, format, **options)
    got = array(data)
    assert (got.shape, got.dtype) == ((3, 6, 8, 3), np.uint8)
    if format in ("PNG", "WEBP"):
        assert same(got, np.stack([np.array(frame) for frame in frames]))


def test_frames_of_which_some_are_transparent_have_a_channel_for_it():
    frames = [Image.new("RGB", (4, 4), (i, 0, 0)).convert("P") for i in (0, 99, 200)]
    data = encoded(
        frames[0], "GIF", save_all=True, append_images=frames[1:], transparency=0, disposal=2
    )
    assert array(data).shape == (3, 4, 4, 4)


def test_pages_that_are_no_array_say_how_to_read_them():
    for frames in (
        [image_of("L"), image_of("L", (4, 4))],
        [image_of("L"), image_of("I;16")],
    ):
        data = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
        with pytest.raises(DecodeError, match=r"are no array: decode as 'pil' and use seek\(\)"):
            array(data)


def test_many_large_frames_are_refused_before_they_take_memory(monkeypatch):
    _, data = frames_of(["L"] * 5, "TIFF")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DecodeError, match="240 pixels are more than Pillow allows"):
        array(data)


# Formats


def test_formats_are_known_by_their_signatures():
    tga = encoded(image_of("RGB"), "TGA")
    assert array(tga).shape == (6, 8, 3)
    with pytest.raises(SchemaError, match="is not an image of a known format"):
        parse("image").dump(tga[:-26])  # a TGA without its footer, which could be anything
    big = encoded(image_of("L"), "TIFF", big_tiff=True)
    assert big[2] == 43 and array(big).shape == (6, 8)
    for text in (b"P7 is a word", b"Pluto", b"P6", b"\0\0\1\0\0\0"):
        with pytest.raises(SchemaError):
            parse("image").dump(text)


def test_text_that_begins_like_a_weak_signature_is_not_called_an_image():
    from dsrecords._format.signatures import kind_of

    assert kind_of(b"BMW and others") is kind_of(b"P5 is an album") is None
    assert kind_of(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic") == "a HEIF image"
    assert kind_of(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif") == "an AVIF image"
    assert kind_of(b"\0\0\0\x18ftypisom\0\0\0\0isomavc1") == "a video file"


def test_format_that_this_pillow_was_built_without_is_named(monkeypatch):
    data = encoded(image_of("RGB"), "BMP")
    monkeypatch.delitem(Image.OPEN, "BMP")
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "BMP"])
    for decode in ("pil", "array", "rgb"):
        load = parse("image").decoder(decode, "x")
        with pytest.raises(DecodeError, match=r"cannot read this BMP image here: .* built without"):
            load(memoryview(data), True)


@pytest.mark.parametrize("error", [MemoryError, RecursionError, ZeroDivisionError])
def test_whatever_pillow_raises_is_a_decode_error(monkeypatch, error):
    from PIL import BmpImagePlugin

    def fail(self):
        raise error

    data = encoded(image_of("RGB"), "BMP")
    monkeypatch.setattr(BmpImagePlugin.BmpImageFile, "load", fail)
    with pytest.raises(DecodeError, match="this BMP image"):
        array(data)


# By packages that only `make test-all` installs


@pytest.mark.large
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]
)  # fmt: skip
@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3), (6, 8, 4), (3, 6, 8)])
def test_tiff_is_read_as_tifffile_reads_it_or_refused(dtype, byteorder, shape):
    tifffile = large("tifffile")
    value = RANDOM.integers(0, 256, shape).astype(dtype)
    if dtype not in ("bool", "uint8", "int8"):
        value = (RANDOM.normal(size=shape) * 9_000).astype(dtype)
    buffer = memory.BytesIO()
    photometric = "rgb" if shape[2:] in [(3,), (4,)] else "minisblack"
    tifffile.imwrite(buffer, value, byteorder=byteorder, photometric=photometric)
    data = buffer.getvalue()
    expected = tifffile.imread(memory.BytesIO(data))
    try:
        got = array(data)
    except DecodeError as error:
        assert "'bytes'" in str(error)
        assert dtype not in ("uint8", "float32", "uint16") or len(shape) == 3
    else:
        assert same(got, expected.astype(expected.dtype.newbyteorder("=")))


@pytest.mark.large
def test_heic_is_read_by_its_plug_in(monkeypatch):
    heif = large("pillow_heif")
    buffer = memory.BytesIO()
    smooth = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    heif.from_pillow(smooth).save(buffer, quality=90)
    data = parse("image").dump(buffer.getvalue())
    got = array(data)
    assert got.shape == (48, 64, 3)
    assert np.abs(got.astype(int) - np.asarray(smooth)).max() < 12
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(ImportError, match="pip install pillow-heif"):
        array(data)


@pytest.mark.large
def test_tensors_are_pictures():
    torch = large("torch")
    pixels = RANDOM.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    tensor = torch.from_numpy(pixels)
    assert same(array(parse("png").dump(tensor)), pixels)
    with pytest.raises(SchemaError, match="transpose"):
        parse("png").dump(tensor.permute(2, 0, 1))
