"""Pillow images of files: the file is kept if the image still shows what it holds, and never otherwise."""

import io as memory
import os
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

import dsrecords
from dsrecords import SchemaError, make_dataset
from dsrecords._types.parse import parse

RANDOM = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "ICO", "JPEG2000", "AVIF")


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def saved(path, format="JPEG", **options):
    image = Image.fromarray(np.repeat(RANDOM, 2, 0))
    if format == "GIF":
        image = image.quantize(64)
    if format == "ICO":
        image = image.resize((16, 16))
    image.save(path, format, **options)
    return path


def stored(value, kind="image"):
    return parse(kind).dump(value)


def shows(data, image):
    """Whether bytes hold the pixels, as Pillow has them, of an image without loss."""
    with Image.open(memory.BytesIO(data)) as again:
        return again.mode == image.mode and again.tobytes() == image.tobytes()


@pytest.mark.parametrize("is_loaded", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_untouched_image_of_a_file_is_stored_as_the_file(tmp_path, format, is_loaded):
    Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow has no {format}")
    path = saved(tmp_path / "x", format)
    with Image.open(path) as image:
        if is_loaded:
            image.load()
        assert stored(image) == path.read_bytes()


def test_untouched_image_of_a_file_in_memory_is_stored_as_the_file(tmp_path):
    data = saved(tmp_path / "x").read_bytes()
    file = memory.BytesIO(data)
    with Image.open(file) as image:
        file.seek(7)
        assert stored(image, "jpeg") == data
        assert file.tell() == 7
    with open(tmp_path / "x", "rb") as file, Image.open(file) as image:
        assert stored(image, "jpeg") == data


def test_image_is_encoded_where_the_field_is_of_another_format(tmp_path):
    with Image.open(saved(tmp_path / "x")) as image:
        data = stored(image, "png")
        assert data.startswith(b"\x89PNG") and shows(data, image)


def test_metadata_of_an_untouched_file_are_no_change(tmp_path):
    path = saved(tmp_path / "x", exif=turned(), icc_profile=b"profile", comment=b"a comment")
    with Image.open(path) as image:
        assert image.getexif()[0x0112] == 6
        assert stored(image) == path.read_bytes()


def test_all_frames_of_an_untouched_file_are_kept(tmp_path):
    frames = [Image.new("L", (8, 8), i * 50) for i in range(3)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "x.gif") as image:
        assert stored(image) == (tmp_path / "x.gif").read_bytes()
        image.seek(1)
        for kind in ("image", "png"):
            with pytest.raises(SchemaError, match=r"one of the 3 frames .* image\.copy\(\)"):
                stored(image, kind)
        assert shows(stored(image.convert("RGB")), image.convert("RGB"))
        image.seek(0)
        assert stored(image) == (tmp_path / "x.gif").read_bytes()
        with pytest.raises(SchemaError, match="one of the 3 frames"):
            stored(image, "png")


def put_pixel(image):
    red, green, blue = image.getpixel((0, 0))
    image.putpixel((0, 0), (red ^ 1, green, blue))


def access_pixel(image):
    pixels = image.load()
    pixels[3, 3] = (1, 2, 3)


def draw(image):
    ImageDraw.Draw(image).point((1, 1), (1, 2, 3))


def exchange_core(image):
    image.load()
    image.im = image.im.convert("L", 0).convert("RGB", 0)


CHANGES = {
    "a pixel put": put_pixel,
    "a pixel set by access": access_pixel,
    "a pixel drawn": draw,
    "an area pasted": lambda image: image.paste((1, 2, 3), (0, 0, 2, 2)),
    "its memory exchanged": exchange_core,
    "made smaller in place": lambda image: image.thumbnail((20, 20)),
    "an alpha channel put": lambda image: image.putalpha(7),
    "turned in place": lambda image: ImageOps.exif_transpose(image, in_place=True),
    "a draft of half its size": lambda image: image.draft("RGB", (20, 24)),
    "a draft of another mode": lambda image: image.draft("L", None),
    "a draft that is loaded": lambda image: (image.draft("RGB", (20, 24)), image.load()),
    "its info added to": lambda image: image.info.update(transparency=(1, 2, 3)),
    "its info taken from": lambda image: image.info.pop("exif"),
    "its exif set": lambda image: image.getexif().update({0x0112: 3}),
    "its exif added to": lambda image: image.getexif().get_ifd(0x8769).update({0x9003: "2026:11:26 00:00:00"}),
}  # fmt: skip


@pytest.mark.parametrize("is_loaded", [False, True])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_changed_image_is_not_stored_as_its_old_file(tmp_path, format, change, is_loaded):
    path = saved(tmp_path / "x", format, exif=turned())
    with Image.open(path) as image:
        if is_loaded:
            image.load()
        has_no_draft = format == "PNG" or is_loaded
        CHANGES[change](image)
        data = stored(image)
        if has_no_draft and "draft" in change:
            assert data == path.read_bytes()
        else:
            assert data != path.read_bytes() and shows(data, image)


def test_operations_that_make_a_new_image_are_changes(tmp_path):
    path = saved(tmp_path / "x")
    with Image.open(path) as image:
        for new in (
            image.crop((0, 0, 9, 9)),
            image.rotate(180),
            image.resize((9, 9)),
            image.transpose(0),
        ):
            assert shows(stored(new), new)


def test_changes_that_were_taken_back_are_no_changes(tmp_path):
    path = saved(tmp_path / "x", "PNG")
    with Image.open(path) as image:
        put_pixel(image)
        assert stored(image) != path.read_bytes()
        put_pixel(image)
        assert stored(image) == path.read_bytes()


@pytest.mark.parametrize("change", ["palette", "transparency"])
def test_changed_palette_is_a_change(tmp_path, change):
    path = saved(tmp_path / "x", "GIF")
    with Image.open(path) as image:
        if change == "palette":
            image.putpalette(bytes(range(192)))
        else:
            image.info["transparency"] = 0
            image.apply_transparency()
        data = stored(image)
        assert data != path.read_bytes()
        with Image.open(memory.BytesIO(data)) as again:
            assert again.convert("RGBA").tobytes() == image.convert("RGBA").tobytes()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("how", ["replaced", "written over", "removed"])
@pytest.mark.parametrize("is_loaded", [False, True])
def test_file_that_is_another_meanwhile_is_not_stored(tmp_path, format, how, is_loaded):
    path = saved(tmp_path / "x", format)
    original = path.read_bytes()
    other = tmp_path / "other"
    Image.fromarray(np.repeat(RANDOM[:, ::-1], 2, 0)).save(other, format)
    with Image.open(path) as image:
        if is_loaded:
            image.copy()
            if format == "BMP":
                image.paste(image.copy())  # else its pixels are a map of the file
        if how == "replaced":
            os.replace(other, path)
        elif how == "written over":
            shutil.copyfile(other, path)
        else:
            path.unlink()
        data = stored(image)
        assert shows(data, image)
        if how == "replaced" and not is_loaded and format != "WEBP":
            assert data == original  # the file that was opened is still there


def test_image_that_cannot_be_read_any_more_is_refused(tmp_path):
    path = saved(tmp_path / "x", "PNG")
    for make in (
        lambda image: image.close(),
        lambda image: image.__exit__(),
        lambda image: image.verify(),
    ):
        image = Image.open(path)
        make(image)
        with pytest.raises(SchemaError, match="Pillow cannot write this image"):
            stored(image)
        image.close()


def test_pickled_image_of_a_file_is_proved_by_its_pixels(tmp_path):
    path = saved(tmp_path / "x", "PNG")
    with Image.open(path) as image:
        copy = pickle.loads(pickle.dumps(image))
    assert stored(copy) == path.read_bytes()
    put_pixel(copy)
    assert stored(copy) != path.read_bytes()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_an_image_that_was_read_from_a_dataset_is_stored_as_it_was_there(tmp_path, format):
    data = saved(tmp_path / f"a.{format}", format).read_bytes()
    path = tmp_path / "first.rec"
    make_dataset([{"x": data, "l": [data, None]}], path, {"x": "image", "l": "list[image?]"})
    ds = dsrecords.open(path)
    again = tmp_path / "again.rec"
    make_dataset(ds, again, ds.schema)
    copy = dsrecords.open(again, decode={"x": "bytes", "l": "bytes"})
    assert copy[0] == {"x": data, "l": [data, None]}
    copy.append(ds[0])
    assert copy[1] == copy[0]
    assert dsrecords.infer_schema([{"x": ds[0, "x"]}]) == dsrecords.infer_schema(
        [{"x": tmp_path / f"a.{format}"}]
    )


def test_an_image_that_was_read_from_a_dataset_and_changed_is_encoded(tmp_path):
    data = saved(tmp_path / "a.jpg").read_bytes()
    make_dataset([{"x": data}], tmp_path / "a.rec", {"x": "image"})
    image = dsrecords.open(tmp_path / "a.rec")[0, "x"]
    assert stored(image) == data
    put_pixel(image)
    assert stored(image) != data and shows(stored(image), image)
    assert stored(pickle.loads(pickle.dumps(image))) != data  # a pickle does not carry it


def test_copies_of_an_image_of_a_file_are_encoded(tmp_path):
    path = saved(tmp_path / "x")
    with Image.open(path) as image:
        copy = image.copy()
    data = stored(copy)
    assert data.startswith(b"\x89PNG") and shows(data, copy)
