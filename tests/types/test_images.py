"""Images: what is taken, what is kept of it, and how it is decoded."""

import io as memory
import random

import bytes_by_hand as by_hand
import make_golden
import numpy as np
import pytest
from PIL import Image
from sameness import same

import dsrecords
from dsrecords import (
    CorruptError,
    DecodeError,
    IndexedRecordDataset,
    SchemaError,
    io,
    make_dataset,
)

TYPES = ("jpeg", "png", "webp", "image")
FILES = {"jpeg": "red.jpg", "png": "red.png", "webp": "red.webp", "image": "red.gif"}
PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10


@pytest.fixture
def stored(tmp_path):
    """The bytes that a type stores of a value."""

    def stored(kind, value):
        path, _ = make_dataset([{"x": value}], tmp_path / "stored.rec", {"x": kind}, overwrite=True)
        return dsrecords.open(path, decode={"x": "bytes"})[0, "x"]

    return stored


@pytest.fixture
def made(tmp_path):
    """A dataset of one image, opened with options."""

    def made(kind, value, **options):
        path, _ = make_dataset([{"x": value}], tmp_path / "made.rec", {"x": kind}, overwrite=True)
        return dsrecords.open(path, **options)

    return made


def encoded(mode, form, size=(3, 2), **options):
    buffer = memory.BytesIO()
    Image.new(mode, size).save(buffer, form, **options)
    return buffer.getvalue()


# What is taken


@pytest.mark.parametrize("kind", TYPES)
def test_encoded_bytes_are_kept_as_they_are(stored, kind):
    data = make_golden.picture(FILES[kind])
    assert (
        stored(kind, data)
        == stored(kind, bytearray(data))
        == stored(kind, memoryview(data))
        == data
    )


@pytest.mark.parametrize("kind", TYPES)
def test_file_is_kept_as_it_is(stored, kind):
    path = make_golden.PICTURES / FILES[kind]
    assert stored(kind, path) == stored(kind, str(path)) == path.read_bytes()


@pytest.mark.parametrize("kind", ["png", "image"])
def test_pixels_come_back_from_formats_without_loss(made, kind):
    for value in (PIXELS, Image.fromarray(PIXELS)):
        assert same(made(kind, value, decode={"x": "array"})[0, "x"], PIXELS)


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_pixels_come_back_almost_from_formats_with_loss(made, kind):
    smooth = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    got = made(kind, smooth, decode={"x": "array"})[0, "x"]
    assert (got.dtype, got.shape) == (np.uint8, (16, 16, 3))
    assert np.abs(got.astype(int) - smooth).max() < 8


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
def test_arrays_of_any_number_of_channels_that_png_has(made, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    got = made("png", pixels, decode={"x": "array"})[0, "x"]
    assert same(got, pixels.reshape(4, 5) if shape == (4, 5, 1) else pixels)


def test_arrays_may_lie_in_memory_as_they_like(made):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    for view in (
        pixels[::2, ::-1],
        pixels.transpose(1, 0, 2),
        np.asfortranarray(pixels),
        pixels[:, :, ::-1],
        pixels[:, :, 1],
    ):
        assert same(made("png", view, decode={"x": "array"})[0, "x"], np.ascontiguousarray(view))


def test_image_made_of_pixels_is_a_png(stored):
    assert stored("image", PIXELS).startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_type_image_takes_any_known_format(made, form):
    assert made("image", encoded("RGB", form))[0, "x"].format == form


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_type_takes_its_own_format_only(stored, kind, form):
    data = encoded("RGB", form)
    if form.lower() == kind:
        assert stored(kind, data) == data
    else:
        with pytest.raises(
            SchemaError,
            match=f"is not {kind.upper()}: it seems to be a {form} image"
            if form != "BMP"
            else "is not",
        ):
            stored(kind, data)


WRONG = {
    "floats": ("png", np.zeros((2, 2, 3))),
    "32 bits": ("png", np.zeros((2, 2), np.uint32)),
    "16 bits in a JPEG": ("jpeg", np.zeros((2, 2), np.uint16)),
    "16 bits in a WebP": ("webp", np.zeros((2, 2), np.uint16)),
    "16 bits in two channels": ("png", np.zeros((2, 2, 2), np.uint16)),
    "a mask in a JPEG": ("jpeg", np.zeros((2, 2), bool)),
    "grey in a WebP, which has colours only": ("webp", np.zeros((2, 2), np.uint8)),
    "channels first": ("png", np.zeros((3, 8, 8), np.uint8)),
    "channels first, grey": ("jpeg", np.zeros((1, 8, 8), np.uint8)),
    "a masked array": ("png", np.ma.array(np.zeros((2, 2), np.uint8), mask=True)),
    "pixels beyond the palette": ("png", Image.frombytes("P", (2, 2), bytes([0, 1, 2, 255]))),
    "one dimension": ("png", np.zeros(4, np.uint8)),
    "four dimensions": ("png", np.zeros((1, 2, 2, 3), np.uint8)),
    "no pixels": ("png", np.zeros((0, 2, 3), np.uint8)),
    "five channels": ("png", np.zeros((2, 2, 5), np.uint8)),
    "transparency in a JPEG": ("jpeg", np.zeros((2, 2, 4), np.uint8)),
    "a palette in a JPEG": ("jpeg", Image.new("P", (2, 2))),
    "a JPEG that is too wide": ("jpeg", np.zeros((1, 70_000), np.uint8)),
    "a WebP that is too wide": ("webp", np.zeros((1, 20_000), np.uint8)),
    "a mode that PNG has not": ("png", Image.new("CMYK", (2, 2))),
    "other bytes": ("png", b"some text"),
    "no bytes": ("image", b""),
    "a number": ("png", 5),
    "None": ("png", None),
    "a list": ("png", [[1, 2], [3, 4]]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_image_is_refused(tmp_path, case):
    kind, value = WRONG[case]
    with pytest.raises(SchemaError) as caught:
        make_dataset([{"x": value}], tmp_path / "a.rec", {"x": kind})
    assert (caught.value.record, caught.value.field) == (0, "x")
    assert list(tmp_path.iterdir()) == []


def test_closed_image_is_refused(tmp_path):
    image = Image.open(make_golden.PICTURES / "red.png")
    image.close()
    with pytest.raises(SchemaError, match="field 'x'"):
        make_dataset([{"x": image}], tmp_path / "a.rec", {"x": "png"})


def test_file_of_another_format_is_named(tmp_path):
    with pytest.raises(SchemaError, match=r"red\.gif is not PNG: it seems to be a GIF image"):
        make_dataset([{"x": make_golden.PICTURES / "red.gif"}], tmp_path / "a.rec", {"x": "png"})


def test_fits_file_in_a_field_of_images_is_named_when_it_is_written_and_when_it_is_read(tmp_path):
    fits = b"SIMPLE  =                    T".ljust(2880)
    for kind, name in (("png", "PNG"), ("image", "an image of a known format")):
        with pytest.raises(
            SchemaError, match=f"the data is not {name}: it seems to be a FITS file"
        ):
            make_dataset([{"x": fits}], tmp_path / "a.rec", {"x": kind})
        log = by_hand.Log({"fields": [{"name": "x", "type": kind, "payload": 0}], "head": 32})
        log.record(payloads=[fits])
        (tmp_path / "hand.rec").write_bytes(log.data)
        with pytest.raises(
            CorruptError, match=f"record 0, field 'x', byte 4128: a FITS file, not {name}"
        ):
            dsrecords.open(tmp_path / "hand.rec")[0]


def test_missing_file_is_file_not_found_error_and_leaves_the_dataset_as_it_was(tmp_path):
    path, _ = make_dataset([], tmp_path / "a.rec", {"x": "png"})
    with dsrecords.open(path) as ds:
        with pytest.raises(FileNotFoundError, match=r"missing\.png"):
            ds.append({"x": tmp_path / "missing.png"})
        with pytest.raises(FileNotFoundError, match=r"missing\.png"):
            ds.extend_columns({"x": [tmp_path / "missing.png"]})
        assert len(ds) == 0
        ds.append({"x": PIXELS})
        assert len(ds) == 1


# How it is decoded


def test_decoding_is_pillow_unless_asked_otherwise(made):
    image = made("png", PIXELS)[0, "x"]
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (3, 2))
    assert made("png", PIXELS, decode={"x": "pil"})[0, "x"].getpixel((2, 1)) == (150, 160, 170)


def test_decoded_image_does_not_need_the_dataset_any_more(made):
    ds = made("png", PIXELS)
    image = ds[0, "x"]
    ds.close()
    assert np.array(image).tolist() == PIXELS.tolist()


@pytest.mark.parametrize("copy", [True, False])
def test_decoded_array_is_owned(made, copy):
    array = made("png", PIXELS, decode={"x": "array"}, copy=copy)[0, "x"]
    array[0, 0, 0] = 99
    assert same(made("png", PIXELS, decode={"x": "array"})[0, "x"], PIXELS)


def test_bytes_without_a_copy_are_a_view(made):
    ds = made("png", PIXELS, decode={"x": "bytes"}, copy=False)
    assert bytes(ds[0, "x"]).startswith(b"\x89PNG")
    assert ds[0, "x"].readonly


MODES = {
    "1": ((2, 3), np.bool_), "L": ((2, 3), np.uint8), "LA": ((2, 3, 2), np.uint8), "P": ((2, 3, 3), np.uint8),
    "RGB": ((2, 3, 3), np.uint8), "RGBA": ((2, 3, 4), np.uint8), "I;16": ((2, 3), np.uint16),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_array_of_a_png(made, mode):
    got = made("png", encoded(mode, "PNG"), decode={"x": "array"})[0, "x"]
    assert (got.shape, got.dtype) == MODES[mode]


def test_array_of_a_png_with_a_transparent_colour_has_four_channels(made):
    assert made("png", encoded("P", "PNG", transparency=0), decode={"x": "array"})[
        0, "x"
    ].shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("mode", "shape"), [("L", (2, 3)), ("RGB", (2, 3, 3)), ("CMYK", (2, 3, 3))]
)
def test_array_of_a_jpeg(made, mode, shape):
    got = made("jpeg", encoded(mode, "JPEG"), decode={"x": "array"})[0, "x"]
    assert (got.shape, got.dtype) == (shape, np.uint8)


def test_column_and_batch_decode(made):
    ds = made("png", PIXELS, decode={"x": "array"})
    ds.append({"x": PIXELS[:1]})
    ds.close()
    ds = dsrecords.open(ds.path, decode={"x": "array"})
    assert same(ds.column("x"), [PIXELS, PIXELS[:1]])
    assert same(ds.batch([1, 1])["x"], [PIXELS[:1], PIXELS[:1]])


def test_nullable_image(made):
    ds = made("png?", None, decode={"x": "array"})
    assert ds[0, "x"] is None
    assert ds.column("x") == [None]


@pytest.mark.parametrize(
    "decode", [{"x": "numpy"}, {"x": None, "n": "bytes"}, {"y": "bytes"}, {"n": "array"}]
)
def test_wrong_decoding_is_refused(tmp_path, decode):
    path, _ = make_dataset([], tmp_path / "a.rec", {"x": "png", "n": "int8"})
    with pytest.raises(SchemaError):
        dsrecords.open(path, decode=decode)


LOADERS = {
    "pil": (io.load_pil, (3, 2)),
    "raw": (io.load_raw_file, None),
    "cv2": (io.load_cv2, (2, 3, 3)),
}


@pytest.mark.parametrize("kind", TYPES[:3])
@pytest.mark.parametrize("name", LOADERS)
def test_deserializer_chooses_the_decoding(tmp_path, name, kind):
    if name == "cv2":
        pytest.importorskip("cv2")
    load, shape = LOADERS[name]
    data = make_golden.picture(FILES[kind])
    path, _ = make_dataset([(data,)], tmp_path / "a.rec", [kind])
    got = IndexedRecordDataset(path, [load])[0][0]
    assert (
        (getattr(got, "shape", None) or getattr(got, "size", None)) == shape
        if shape
        else got == data
    )


@pytest.mark.parametrize("name", ["pil", "cv2"])
def test_image_that_a_deserializer_cannot_decode_is_named(tmp_path, name):
    if name == "cv2":
        pytest.importorskip("cv2")
    data = make_golden.picture("red.jpg")
    path, _ = make_dataset([(data,), (data[:200],)], tmp_path / "a.rec", ["jpeg"])
    with pytest.raises(DecodeError, match=r"record 1, field 0, byte .* cannot decode th"):
        IndexedRecordDataset(path, [LOADERS[name][0]])[1]


@pytest.mark.parametrize("kind", ["list[png]", "zstd(list[png?])"])
def test_images_of_a_list_are_decoded_as_asked(tmp_path, kind):
    path, _ = make_dataset([{"x": [PIXELS, PIXELS[::-1]]}], tmp_path / "a.rec", {"x": kind})
    assert same(dsrecords.open(path, decode={"x": "array"})[0, "x"], [PIXELS, PIXELS[::-1]])
    assert [data[:4] for data in dsrecords.open(path, decode={"x": "bytes"})[0, "x"]] == [
        b"\x89PNG"
    ] * 2
    with pytest.raises(SchemaError, match="field 'x': decode can be"):
        dsrecords.open(path, decode={"x": "arrays"})


def test_serializers_of_images(tmp_path):
    pytest.importorskip("cv2")
    schema = {
        "pil": io.save_pil, "small": io.save_pil(format="webp", quality=5), "png": io.save_pil(format="PNG"),
        "tiff": io.save_pil(format="TIFF"), "cv2": io.save_cv2(ext=".png"), "cv2_jpeg": io.save_cv2(ext="jpg"),
        "file": io.save_raw_file, "list": io.save_list(save_fn=io.save_pil(format="PNG")),
    }  # fmt: skip
    image = Image.fromarray(PIXELS)
    row = dict.fromkeys(schema, image)
    row.update(
        cv2=PIXELS[:, :, ::-1].copy(),
        cv2_jpeg=PIXELS,
        file=make_golden.PICTURES / "red.png",
        list=[image, image],
    )
    path, _ = make_dataset([row], tmp_path / "a.rec", schema)
    ds = dsrecords.open(path)
    assert ds.schema == {
        "pil": "jpeg", "small": "webp", "png": "png", "tiff": "image", "cv2": "png", "cv2_jpeg": "jpeg", "file": "bytes",
        "list": "list[png]",
    }  # fmt: skip
    got = ds[0]
    assert got["file"] == make_golden.picture("red.png")
    assert [got[name].format for name in ("pil", "small", "png", "tiff")] == [
        "JPEG",
        "WEBP",
        "PNG",
        "TIFF",
    ]
    for decoded in (got["png"], got["cv2"], got["tiff"], *got["list"]):
        assert same(np.array(decoded), PIXELS)


def test_serializer_whose_bytes_are_of_another_format_is_refused(tmp_path):
    with pytest.raises(SchemaError, match="takes a Pillow image"):
        make_dataset([(PIXELS,)], tmp_path / "a.rec", [io.save_pil])


# Bytes that are no image


@pytest.mark.parametrize("kind", TYPES[:3])
def test_image_that_is_cut_short_is_no_damage_but_cannot_be_decoded(made, kind):
    data = encoded("RGB", kind.upper(), (64, 64))
    ds = made(kind, data[: len(data) // 2])
    with pytest.raises(DecodeError, match=rf"{kind.upper()} image .*'bytes'") as caught:
        ds[0]
    assert (caught.value.record, caught.value.field) == (0, "x")
    with pytest.raises(DecodeError, match="record 0, field 'x'"):
        ds.column("x")


@pytest.mark.filterwarnings("ignore")  # Pillow's own, of what it finds in broken files
@pytest.mark.parametrize("kind", TYPES)
def test_broken_image_raises_nothing_but_decode_error(tmp_path, kind):
    """Flips in the encoded bytes, which the checksums cannot know of."""
    generator = random.Random(kind)
    right = encoded("RGB", "TIFF" if kind == "image" else kind.upper(), (16, 16))
    broken = []
    for _ in range(60):
        data = bytearray(right)
        for _ in range(generator.randint(1, 4)):
            data[generator.randrange(12, len(data))] = generator.randrange(256)
        broken.append({"x": bytes(data), "l": [bytes(data)]})
    path, _ = make_dataset(broken, tmp_path / "a.rec", {"x": kind, "l": f"list[{kind}]"})
    for decode in ("pil", "array", "rgb"):
        ds = dsrecords.open(path, decode={"x": decode})
        for i in range(len(ds)):
            for field in ("x", "l"):
                try:
                    ds[i, field]
                except DecodeError as error:
                    assert (error.record, error.field) == (i, field)


def test_image_of_absurd_size_is_refused_and_takes_no_memory(made):
    data = bytearray(make_golden.picture("red.bmp"))
    data[18:26] = (60_000).to_bytes(4, "little") * 2
    for decode in ("pil", "array", "gray"):
        with pytest.raises(
            DecodeError,
            match=r"3600000000 pixels.* raise PIL\.Image\.MAX_IMAGE_PIXELS, or decode as 'bytes'",
        ):
            made("image", bytes(data), decode={"x": decode})[0]
    assert made("image", bytes(data), decode={"x": "bytes"})[0, "x"] == data
