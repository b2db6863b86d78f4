"""Images as arrays of one kind: `decode={"x": "rgb"}`, and `vision.Decode`."""

import io as memory
import pickle
import subprocess
import sys

import numpy as np
import pytest
from conftest import SOURCE
from PIL import Image, ImageOps
from sameness import same
from test_image_arrays import encoded, image_of, png

import dsrecords
from dsrecords import CorruptError, DecodeError, SchemaError, make_dataset, vision

MODES = {"rgb": ("RGB", (3,)), "gray": ("L", ()), "rgba": ("RGBA", (4,))}


def gradient(width, height):
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    channels = [x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def photograph(width, height, orientation=1, format="JPEG"):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(gradient(width, height), format, exif=exif)


@pytest.fixture
def opened(tmp_path):
    def opened(*values, kind="image", **options):
        path, _ = make_dataset(
            [{"x": value} for value in values], tmp_path / "a.rec", {"x": kind}, overwrite=True
        )
        return dsrecords.open(path, **options)

    return opened


# One kind of array


@pytest.mark.parametrize("mode", MODES)
def test_all_images_have_one_number_of_channels_and_one_dtype(opened, mode):
    files = [encoded(image_of(m), "PNG") for m in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
    files += [encoded(image_of(m), "TIFF") for m in ("CMYK", "YCbCr", "LAB", "PA", "I;16B")]
    files += [encoded(image_of("P"), "PNG", transparency=3), png(np.zeros((6, 8, 3)), 2)]
    column = opened(*files, decode={"x": mode}).column("x")
    shape = (6, 8, *MODES[mode][1])
    assert {(array.shape, array.dtype) for array in column} == {(shape, np.dtype(np.uint8))}
    assert all(array.flags.writeable for array in column)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stored", ["L", "LA", "RGB", "RGBA"])
def test_conversion_is_pillows(mode, stored):
    image = image_of(stored)
    data = encoded(image, "PNG")
    assert same(vision.Decode(mode).decode_image(data), np.array(image.convert(MODES[mode][0])))


def test_of_16_bits_the_8_highest_are_taken_in_grey_and_in_colour():
    grey = np.array([[0, 255, 256, 65535]], np.uint16)
    assert vision.Decode("gray").decode_image(png(grey[..., None], 0)).tolist() == [[0, 0, 1, 255]]
    assert vision.Decode("rgb").decode_image(png(np.stack([grey] * 3, -1), 2))[0, 2].tolist() == [
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("mode", ["F", "I"])
def test_numbers_without_a_scale_are_refused(mode):
    with pytest.raises(DecodeError, match="no scale as colours: decode as 'array'"):
        vision.Decode("rgb").decode_image(encoded(image_of(mode), "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_image_is_upright(opened, orientation, format):
    data = photograph(64, 32, orientation, format)
    expected = ImageOps.exif_transpose(Image.open(memory.BytesIO(data)))
    assert same(opened(data, decode={"x": "rgb"})[0, "x"], np.array(expected))
    small = vision.Decode("rgb", size=8).decode_image(data)
    assert small.shape == ((16, 8, 3) if orientation > 4 else (8, 16, 3))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"]
)
def test_exif_data_that_cannot_be_read_turn_nothing(exif):
    image = gradient(40, 20)
    data = encoded(image, "PNG", exif=exif)
    assert same(vision.Decode("rgb").decode_image(data), np.array(image))


# Sizes

SIZES = {
    (None, None): (48, 96),
    ((20, 30), None): (20, 30),
    (24, None): (24, 48),
    (100, None): (100, 200),
    (25, None): (25, 50),
    (24, 40): (20, 40),
    (None, 60): (30, 60),
    (None, 200): (48, 96),
    (None, 1): (1, 1),
}


@pytest.mark.parametrize(("size", "max_size"), SIZES)
@pytest.mark.parametrize("lies", [False, True])
def test_size_is_what_was_asked_for(size, max_size, lies):
    width, height = (48, 96) if lies else (96, 48)
    expected = SIZES[size, max_size]
    if lies and not isinstance(size, tuple):
        expected = expected[::-1]
    for format in ("JPEG", "PNG"):
        got = vision.Decode("rgb", size, max_size).decode_image(
            encoded(gradient(width, height), format)
        )
        assert got.shape == (*expected, 3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(7, 13), (24, 48), (90, 110)])
def test_resizing_is_pillows_bilinear_filter(mode, size):
    image = image_of("RGBA", (96, 48))
    expected = image.convert(MODES[mode][0]).resize(size[::-1], Image.Resampling.BILINEAR)
    got = vision.Decode(mode, size=size).decode_image(encoded(image, "PNG"))
    assert same(got, np.array(expected))


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_jpeg_is_decoded_smaller_and_looks_the_same(monkeypatch, orientation):
    from PIL import JpegImagePlugin

    data = photograph(800, 400, orientation)
    sizes = []
    load = JpegImagePlugin.JpegImageFile.load

    def noting(self):
        sizes.append(self.size)
        return load(self)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", noting)
    got = vision.Decode("rgb", size=50).decode_image(data)
    assert sizes[0] == (200, 100)
    full = ImageOps.exif_transpose(Image.open(memory.BytesIO(data)))
    size = (50, 100) if orientation == 6 else (100, 50)
    expected = np.asarray(full.resize(size, Image.Resampling.BILINEAR))
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).max() <= 4


def test_size_of_a_sliver_is_refused_before_it_takes_memory():
    with pytest.raises(DecodeError, match="10,000,000,000 pixels are more"):
        vision.Decode("gray", size=10_000).decode_image(encoded(Image.new("L", (500, 5)), "PNG"))


# Where they can be used


def test_decoder_is_used_for_fields_lists_and_compressed_images(opened):
    data = encoded(gradient(40, 20), "PNG")
    decode = vision.Decode("gray", size=(5, 6))
    assert opened(data, decode={"x": decode})[0, "x"].shape == (5, 6)
    assert opened(data, decode={"x": decode}).batch([0, 0])["x"][1].shape == (5, 6)
    assert opened([data, data], kind="list[png]", decode={"x": decode})[0, "x"][1].shape == (5, 6)
    assert opened([data], kind="list[png]", decode={"x": "rgba"})[0, "x"][0].shape == (20, 40, 4)
    pytest.importorskip("zstandard")
    assert opened(data, kind="zstd(png)", decode={"x": decode})[0, "x"].shape == (5, 6)


def test_decoder_pickles_hashes_compares_and_shows_itself(opened):
    decode = vision.Decode("rgb", size=(5, 6))
    assert repr(decode) == "Decode(mode='rgb', size=(5, 6), max_size=None)"
    assert pickle.loads(pickle.dumps(decode)) == decode == vision.Decode(size=(5, 6))
    assert len({decode, vision.Decode("rgb", (5, 6)), vision.Decode("gray", (5, 6))}) == 2
    ds = opened(encoded(gradient(40, 20), "PNG"), decode={"x": decode})
    assert pickle.loads(pickle.dumps(ds))[0, "x"].shape == (5, 6, 3)


@pytest.mark.parametrize(
    "arguments",
    [("bgr",), ("rgb", 0), ("rgb", True), ("rgb", (1, 2, 3)), ("rgb", (0, 5)), ("rgb", 2.5), ("rgb", None, -1),
     ("rgb", (5, 5), 9), ("rgb", "224")],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=r"must be|is for"):
        vision.Decode(*arguments)


class Length:
    def decode_image(self, data):
        if len(data) < 100:
            raise KeyError("short")
        return len(data)


def test_any_object_with_the_method_is_a_decoder_and_its_errors_are_its_own(opened):
    data = encoded(gradient(40, 20), "PNG")
    assert opened(data, decode={"x": Length()})[0, "x"] == len(data)
    with pytest.raises(KeyError, match="short"):
        opened(data[:50], decode={"x": Length()})[0]
    for wrong in (Length, 5, object(), "hsv"):
        with pytest.raises(
            SchemaError, match=r"'rgb', 'gray', 'rgba'.*dsrecords\.vision\.Decode\('rgb'\), not"
        ):
            opened(data, decode={"x": wrong})


def test_image_that_cannot_be_decoded_names_record_and_field(opened):
    data = encoded(gradient(40, 20), "PNG")
    for decode in ("rgb", vision.Decode(size=5)):
        with pytest.raises(
            DecodeError, match=r"record 1, field 'x', byte .*cannot decode this PNG"
        ):
            opened(data, data[:90], decode={"x": decode})[1]


def test_module_is_imported_when_it_is_first_used_and_pillow_when_an_image_is_decoded():
    script = (
        "import sys, dsrecords; assert 'dsrecords.vision' not in sys.modules; "
        "dsrecords.vision.Decode(); assert 'PIL' not in sys.modules; dsrecords.nothing"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SOURCE)},
    )
    assert "module 'dsrecords' has no attribute 'nothing'" in done.stderr


# Sizes of stored images


def test_sizes_are_read_from_the_headers(opened, monkeypatch):
    from PIL import ImageFile

    files = [
        encoded(gradient(w, h), f)
        for w, h, f in [(40, 20, "PNG"), (7, 9, "JPEG"), (30, 31, "WEBP"), (5, 6, "TIFF")]
    ]
    ds = opened(*files, None, kind="image?")
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    assert ds.image_size(0, "x") == (20, 40)
    assert ds.image_size(-1, "x") is None
    sizes = ds.image_sizes("x")
    assert same(sizes, np.array([[20, 40], [9, 7], [31, 30], [6, 5], [0, 0]]))
    assert ds.image_sizes("x", [3, 1]).tolist() == [[6, 5], [9, 7]]
    assert ds[1:3].image_sizes("x").tolist() == [[9, 7], [31, 30]]
    assert ds[1:3].image_size(1, "x") == (31, 30)
    assert ds.image_sizes("x", []).shape == (0, 2)


def test_sizes_do_not_depend_on_how_the_field_is_decoded(opened):
    data = encoded(gradient(40, 20), "PNG")
    for decode in ("bytes", "array", vision.Decode(size=5)):
        assert opened(data, decode={"x": decode}).image_size(0, "x") == (20, 40)
    path = opened(data).path
    ds = dsrecords.IndexedRecordDataset(path, deserializers=[len])
    assert (ds[0, "x"], ds.image_size(0, "x")) == (len(data), (20, 40))
    pytest.importorskip("zstandard")
    assert opened(data, kind="zstd(png)").image_sizes("x").tolist() == [[20, 40]]


def test_sizes_are_of_images(tmp_path, opened):
    path, _ = make_dataset([{"n": 1}], tmp_path / "n.rec", {"n": "int64"})
    ds = dsrecords.open(path)
    for read in (lambda: ds.image_size(0, "n"), lambda: ds.image_sizes("n")):
        with pytest.raises(SchemaError, match="field 'n': sizes are of images, this is int64"):
            read()
    with pytest.raises(SchemaError):
        ds.image_sizes("m")
    ds = opened(encoded(gradient(40, 20), "PNG"), encoded(gradient(40, 20), "PNG")[:20])
    with pytest.raises(DecodeError, match="record 1, field 'x'"):
        ds.image_sizes("x")
    with pytest.raises(IndexError):
        ds.image_size(2, "x")


def test_damaged_image_has_no_size(opened):
    ds = opened(encoded(gradient(40, 20), "PNG"))
    with open(ds.path, "r+b") as file:
        file.seek(-20, 2)
        file.write(b"damage")
    with pytest.raises(CorruptError, match="record 0"):
        dsrecords.open(ds.path).image_size(0, "x")
