"""The functions of `dsrecords.io`: called, bare, with options, and as the serializers and deserializers of a dataset."""

import inspect
import io as memory
import pickle
from collections import deque

import numpy as np
import pytest
from conftest import python
from PIL import Image
from sameness import same

import dsrecords
from dsrecords import DecodeError, IndexedRecordDataset, SchemaError, io, make_dataset

pytestmark = pytest.mark.slow

RED = Image.new("RGB", (3, 2), (200, 10, 20))
BGR = np.full((2, 3, 3), (20, 10, 200), np.uint8)


def shout(text):
    return text.upper().encode()


def whisper(data):
    return data.decode().lower()


@io.kurry
def shifted(value, by=1):
    """A serializer with an option: at the top of a module, so that it pickles."""
    return bytes([value + by])


@io.kurry
def shifted_back(data, by=1):
    return data[0] - by


# Called


CALLS = {
    "bool": (io.save_bool, True, b"\1", io.load_bool),
    "int": (io.save_int, -2, b"\xfe\xff\xff\xff", io.load_int),
    "int of 8 bits": (io.save_int(bits=8), -2, b"\xfe", io.load_int(bits=8)),
    "int of 16 bits": (io.save_int(bits=16), 258, b"\2\1", io.load_int(bits=16)),
    "int of 64 bits": (io.save_int(bits=64), 2**62, b"\0\0\0\0\0\0\0\x40", io.load_int(bits=64)),
    "unsigned": (io.save_int(bits=8, signed=False), 255, b"\xff", io.load_int(bits=8, signed=False)),
    "float": (io.save_float, 1.0, b"\0\0\x80\x3f", io.load_float),
    "float of 16 bits": (io.save_float(bits=16), 1.0, b"\0\x3c", io.load_float(bits=16)),
    "float of 64 bits": (io.save_float(bits=64), 0.1, b"\x9a\x99\x99\x99\x99\x99\xb9\x3f", io.load_float(bits=64)),
    "str": (io.save_str, "é", b"\xc3\xa9", io.load_str),
    "str in Latin-1": (io.save_str(encoding="latin-1"), "é", b"\xe9", io.load_str(encoding="latin-1")),
    "identity": (io.identity, b"ab", b"ab", io.identity),
    "list": (
        io.save_list(save_fn=io.save_int), [1, -1],
        b"\2\0\0\0\0\0\0\0\1\0\0\0\xff\xff\xff\xff", io.load_list(load_fn=io.load_int),
    ),
    "list of bytes": (
        io.save_list(save_fn=io.save_int(bits=8)), [1, -1], b"\2\0\0\0\0\0\0\0\1\xff", io.load_list(load_fn=io.load_int(bits=8)),
    ),
    "list of bools": (io.save_list(save_fn=io.save_bool), [True], b"\1\0\0\0\0\0\0\0\1", io.load_list(load_fn=io.load_bool)),
    "list of texts": (
        io.save_list(save_fn=io.save_str), ["é"],
        b"\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\xc3\xa9\0\0\0\0\0\0", io.load_list(load_fn=io.load_str),
    ),
    "kurried": (shifted, 5, b"\6", shifted_back),
    "kurried with an option": (shifted(by=10), 5, b"\x0f", shifted_back(by=10)),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
def test_call_gives_bytes_and_back(case):
    save, value, data, load = CALLS[case]
    assert save(value) == data
    got = load(data)
    assert type(got) is type(value)
    assert got == value


@pytest.mark.parametrize("options", [{}, {"bits": 16}, {"bits": 64, "signed": False}])
def test_options_may_be_given_with_the_value(options):
    assert io.load_int(io.save_int(7, **options), **options) == 7


@pytest.mark.parametrize(
    "array",
    [np.arange(6, dtype=">i2").reshape(2, 3), np.array("é"), np.zeros((0, 2)), np.array([True])],
)
def test_call_of_np(array):
    assert same(io.load_np(io.save_np(array)), array)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_list_of_texts_in_an_encoding(encoding):
    save = io.save_list(save_fn=io.save_str(encoding=encoding))
    load = io.load_list(load_fn=io.load_str(encoding=encoding))
    assert load(save(["é", "", "abc"])) == ["é", "", "abc"]


NESTED = {
    "integers": (io.save_int(bits=16), io.load_int(bits=16), [[1], [], [2, 3]]),
    "texts": (io.save_str, io.load_str, [["a", ""], []]),
    "of one's own": (shout, whisper, [["a", "b"], [""]]),
    "kurried": (shifted(by=3), shifted_back(by=3), [[1, 2], []]),
}


@pytest.mark.parametrize("case", NESTED)
def test_call_of_a_list_of_lists(case):
    save, load, value = NESTED[case]
    save, load = (
        io.save_list(save_fn=io.save_list(save_fn=save)),
        io.load_list(load_fn=io.load_list(load_fn=load)),
    )
    assert load(save(value)) == value


def test_call_of_a_list_of_arrays():
    value = [np.arange(3), np.array([[0.5]])]
    assert same(io.load_list(load_fn=io.load_np)(io.save_list(save_fn=io.save_np)(value)), value)


def test_dumper_and_loader_are_other_names_of_the_options_of_lists():
    data = io.save_list(["a"], dumper=io.dump_str)
    assert io.load_list(data, loader=io.load_str) == ["a"]


def test_list_without_a_function_says_what_to_give():
    with pytest.raises(TypeError, match=r"io\.save_list\(save_fn=io\.save_int\)"):
        io.save_list([1])
    with pytest.raises(TypeError, match=r"io\.load_list\(load_fn=io\.load_int\)"):
        io.load_list(b"\0" * 8)
    with pytest.raises(TypeError, match="save_fn"):
        make_dataset([], "never-made.rec", [io.save_list])


def test_raw_file(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\0\1")
    assert (
        io.save_raw_file(tmp_path / "a.bin") == io.save_raw_file(str(tmp_path / "a.bin")) == b"\0\1"
    )
    assert io.load_raw_file(b"\0\1") == b"\0\1"
    with pytest.raises(SchemaError, match="is a URL: download it"):
        io.save_raw_file("https://example.org/a.bin")
    with pytest.raises(FileNotFoundError):
        io.save_raw_file(tmp_path / "b.bin")


@pytest.mark.parametrize(
    ("format", "name"),
    [("JPEG", "JPEG"), ("jpg", "JPEG"), ("PNG", "PNG"), ("webp", "WEBP"), ("tiff", "TIFF")],
)
def test_call_of_pil(format, name):
    image = io.load_pil(io.save_pil(format=format)(RED))
    assert (image.format, image.mode, image.size) == (name, "RGB", (3, 2))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("format", ["BMP", "GIF", "PPM", "TIFF", "TGA", "PCX", "ICO", "SGI", "QOI"])
def test_formats_of_pillow_keep_an_image_or_refuse_it(format, mode):
    numbers = np.random.default_rng(0).integers(0, 255, (8, 9, 4), np.uint8)
    if mode in ("I;16", "F"):
        image = Image.fromarray(numbers[:, :, 0].astype("u2" if mode == "I;16" else "f4") * 200)
    else:
        image = Image.fromarray(numbers).convert("RGB" if mode in ("1", "P") else "RGBA")
        image = image.convert(mode)
    try:
        written = Image.open(memory.BytesIO(io.save_pil(image, format=format)))
    except SchemaError as error:
        assert "keep" in str(error) or "cannot write" in str(error)
    else:
        assert written.convert(mode).tobytes() == image.tobytes()


def test_quality_of_pil_counts():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    assert (
        len(io.save_pil(noise, quality=10))
        < len(io.save_pil(noise))
        == len(io.save_pil(noise, quality=95))
    )
    assert io.save_pil(noise, format="PNG", compress_level=0) != io.save_pil(
        noise, format="PNG", compress_level=9
    )


def test_call_of_cv2():
    cv2 = pytest.importorskip("cv2")
    data = io.save_cv2(BGR, ext=".png")
    assert io.load_pil(data).getpixel((0, 0)) == (200, 10, 20)
    assert same(io.load_cv2(data), BGR)
    assert io.load_cv2(data, flags=cv2.IMREAD_GRAYSCALE).shape == (2, 3)
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    assert len(io.save_cv2(noise, ext=".jpg", flags=[cv2.IMWRITE_JPEG_QUALITY, 10])) < len(
        io.save_cv2(noise, ext=".jpg")
    )


def test_cv2_says_what_it_cannot_do():
    pytest.importorskip("cv2")
    with pytest.raises(DecodeError, match="OpenCV cannot decode"):
        io.load_cv2(b"no image")
    with pytest.raises(SchemaError, match="OpenCV cannot encode"):
        io.save_cv2(np.zeros((0, 0), np.uint8), ext=".png")
    with pytest.raises(SchemaError, match="OpenCV cannot encode"):
        io.save_cv2(BGR, ext=".nothing")
    for ext, array in [(".hdr", np.zeros((2, 2, 4), np.uint8)), (".hdr", BGR[..., :2])]:
        with pytest.raises(SchemaError, match="OpenCV cannot encode an array of uint8"):
            io.save_cv2(array, ext=ext)
    with pytest.raises(TypeError, match="ext"):
        io.save_cv2(BGR)


@pytest.mark.parametrize("ext", [".png", ".PNG", ".bmp", ".ppm", ".pgm", "jpe", ".webp"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_cv2_keeps_pixels_or_refuses_them(ext, dtype, channels):
    cv2 = pytest.importorskip("cv2")
    pixels = np.arange(32 * channels).reshape(4, 8, channels).astype(dtype)
    pixels = pixels[..., 0] if channels == 1 else pixels
    try:
        data = io.save_cv2(pixels, ext=ext)
    except SchemaError:
        return
    read = io.load_cv2(data, flags=cv2.IMREAD_UNCHANGED)
    assert (read.dtype, read.shape) == (pixels.dtype, pixels.shape)
    assert ext in ("jpe", ".webp") or same(read, pixels)


@pytest.mark.parametrize(
    ("save", "value"),
    [(io.save_int, 2**31), (io.save_int(bits=8, signed=False), -1), (io.save_int, 1.0), (io.save_float(bits=16), 1e6),
     (io.save_bool, 1), (io.save_np, object()), (io.save_list(save_fn=io.save_int), [1.0]), (io.save_pil, "photo.jpg")],
)  # fmt: skip
def test_call_with_a_wrong_value_is_a_schema_error(save, value):
    with pytest.raises(SchemaError):
        save(value)


@pytest.mark.parametrize("bits", [0, 7, 128, "32"])
def test_bits_that_no_number_has_are_refused(bits, tmp_path):
    for function in (io.save_int, io.save_float):
        with pytest.raises(ValueError, match="bits"):
            make_dataset([], tmp_path / "a.rec", [function(bits=bits)])
        with pytest.raises(ValueError, match="bits"):
            function(1, bits=bits)


def test_unknown_option_is_named(tmp_path):
    with pytest.raises(TypeError, match="bitz"):
        make_dataset([], tmp_path / "a.rec", [io.save_int(bitz=8)])
    with pytest.raises(TypeError, match="bitz"):
        io.save_int(1, bitz=8)


# In a dataset


IN_DATASETS = {
    "bool": (io.save_bool, io.load_bool, [True, False]),
    "int": (io.save_int, io.load_int, [-(2**31), 2**31 - 1]),
    "int of 8 bits": (io.save_int(bits=8), io.load_int(bits=8), [-128, 127]),
    "int of 16 bits": (io.save_int(bits=16, signed=False), io.load_int, [0, 65535]),
    "int of 64 bits": (io.save_int(bits=64), io.load_int(bits=8), [-(2**63), 2**63 - 1]),
    "float": (io.save_float, io.load_float, [0.5, -1.5]),
    "float of 16 bits": (io.save_float(bits=16), io.load_float(bits=64), [0.5, -1.5]),
    "float of 64 bits": (io.save_float(bits=64), io.load_float, [0.1, 1e300]),
    "str": (io.save_str, io.load_str, ["é", ""]),
    "str in Latin-1": (io.save_str(encoding="latin-1"), io.load_str(encoding="utf-16"), ["é", "漢"]),
    "bytes": (io.identity, io.identity, [b"", b"abc"]),
    "array": (io.save_np, io.load_np, [np.arange(3), np.array("é")]),
    "list of integers": (io.save_list(save_fn=io.save_int(bits=64)), io.load_list(load_fn=io.load_int), [[2**40], []]),
    "list of texts": (io.save_list(save_fn=io.save_str), io.load_list(load_fn=io.load_str), [["a", ""], []]),
    "list of bytes": (io.save_list(save_fn=io.identity), io.load_list(load_fn=io.identity), [[b"a", b""], []]),
    "list of arrays": (io.save_list(save_fn=io.save_np), io.load_list(load_fn=io.load_np), [[np.arange(2)], []]),
    "list of lists": (
        io.save_list(save_fn=io.save_list(save_fn=io.save_float)), io.load_list(load_fn=io.load_list(load_fn=io.load_float)),
        [[[0.5], []], []],
    ),
}  # fmt: skip


@pytest.mark.parametrize("names", [False, True], ids=["list", "dict"])
@pytest.mark.parametrize("case", IN_DATASETS)
def test_functions_in_a_dataset(tmp_path, case, names):
    save, load, values = IN_DATASETS[case]
    key = "x" if names else 0
    schema = {"x": save} if names else [save]
    rows = [{"x": value} if names else (value,) for value in values]
    path, _ = make_dataset(rows, tmp_path / "a.rec", schema)
    with dsrecords.open(
        path
    ) as ds:  # without any deserializer, and written to without any serializer
        ds.extend(rows)
        assert same([row[key] for row in ds], values + values)
    for given in ({key: load}, [load], [None]):
        ds = IndexedRecordDataset(path, given)
        assert same([row[key] for row in ds], values + values)
        assert same(list(ds.column(key)), list(dsrecords.open(path).column(key)))
    with IndexedRecordDataset(path, serializers=schema) as ds:
        ds.append(rows[0])
        assert same(ds[-1], rows[0])
    with IndexedRecordDataset(tmp_path / "new.rec", loaders=[load], dumpers=schema) as ds:
        ds.extend(rows)
        assert same(list(ds), rows)


def test_deserializer_that_does_not_read_the_type_is_refused(tmp_path):
    path, _ = make_dataset(
        [(1, "a", [1], {})], tmp_path / "a.rec", ["int8", "str", "list[int8]", "json"]
    )
    wrong = (
        [io.load_str, None, None, None],
        [None, io.load_int, None, None],
        [None, None, io.load_list(load_fn=io.load_str), None],
    )
    for given in wrong:
        with pytest.raises(SchemaError, match="does not read"):
            IndexedRecordDataset(path, given)
    with pytest.raises(SchemaError, match="1 deserializers for 4 fields"):
        IndexedRecordDataset(path, [io.load_int])
    with pytest.raises(SchemaError, match="no field"):
        IndexedRecordDataset(path, {7: io.load_int})


def test_serializer_in_the_place_of_a_deserializer_is_refused(tmp_path):
    path, _ = make_dataset([(1,)], tmp_path / "a.rec", ["int8"])
    with pytest.raises(SchemaError, match="save_int is a serializer"):
        IndexedRecordDataset(path, [io.save_int])


def test_any_function_gets_the_bytes_of_any_field(tmp_path):
    kinds = {"i": "int16", "s": "str", "a": "uint8[2]", "n": "int16?", "none": "str?"}
    path, _ = make_dataset(
        [{"i": -2, "s": "é", "a": [1, 2], "n": 3, "none": None}], tmp_path / "a.rec", kinds
    )
    ds = IndexedRecordDataset(path, dict.fromkeys(kinds, io.identity))
    row = {"i": b"\xfe\xff", "s": b"\xc3\xa9", "a": b"\1\2", "n": b"\3\0", "none": None}
    assert ds[0] == row
    assert ds.batch([0]) == {name: [value] for name, value in row.items()}
    assert ds[0, "s"] == b"\xc3\xa9"


# Functions of one's own


@pytest.fixture
def loud(tmp_path):
    """The path of a dataset that was written by functions of one's own."""
    schema = {"text": shout, "n": shifted(by=10), "many": io.save_list(save_fn=shout)}
    path, _ = make_dataset(
        [{"text": "a", "n": 1, "many": ["b", "c"]}], tmp_path / "loud.rec", schema
    )
    return path


BACK = {"text": whisper, "n": shifted_back(by=10), "many": io.load_list(load_fn=whisper)}


def test_field_of_a_function_is_read_by_another(loud):
    ds = IndexedRecordDataset(loud, BACK)
    assert ds[0] == {"text": "a", "n": 1, "many": ["b", "c"]}
    assert ds.column("n") == [1]
    assert IndexedRecordDataset(loud, {**BACK, "text": None})[0, "n"] == 1


@pytest.mark.parametrize("field", ["text", "n", "many"])
def test_field_of_a_function_needs_its_deserializer(loud, field):
    ds = dsrecords.open(loud)
    name = {"text": "shout", "n": "shifted", "many": "save_list"}[field]
    for read in (lambda: ds[0, field], lambda: ds.column(field), lambda: ds.batch([0], [field])):
        with pytest.raises(
            SchemaError, match=rf"written by the serializer {name}, .*deserializers=\["
        ) as caught:
            read()
        assert (caught.value.record, caught.value.field) == (0, field)


def test_writing_to_a_field_of_a_function_needs_the_function(loud):
    row = {"text": "d", "n": 2, "many": []}
    with (
        dsrecords.open(loud) as ds,
        pytest.raises(
            SchemaError, match=r"written by the serializer shout, .*serializers=\["
        ) as caught,
    ):
        ds.append(row)
    assert caught.value.field == "text"
    serializers = {"text": shout, "n": shifted(by=10), "many": io.save_list(save_fn=shout)}
    with IndexedRecordDataset(loud, BACK, serializers) as ds:
        ds.append(row)
        ds.extend_columns({"text": ["e"], "n": [3], "many": [["f"]]})
        assert [one["text"] for one in ds] == ["a", "d", "e"]
        ds[0] = row
        assert ds[0] == row
        ds.compact()
        assert ds[0] == row


def failing(value):
    raise {"value": ValueError, "type": TypeError, "key": KeyError, "zero": ZeroDivisionError}[
        value
    ]("no such thing")


@pytest.mark.parametrize("value", ["value", "type", "key"])
def test_function_that_finds_a_value_wrong_is_a_schema_error(tmp_path, value):
    with pytest.raises(SchemaError, match="no such thing") as caught:
        make_dataset([(value,)], tmp_path / "a.rec", [failing])
    assert (caught.value.record, caught.value.field) == (0, 0)
    assert caught.value.__cause__ is not None
    assert list(tmp_path.iterdir()) == []


def test_function_that_fails_otherwise_is_not_hidden(tmp_path):
    with pytest.raises(ZeroDivisionError):
        make_dataset([("zero",)], tmp_path / "a.rec", [failing])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["text", None, 5, [b"a"]])
def test_function_that_does_not_give_bytes_is_a_schema_error(tmp_path, value):
    with pytest.raises(SchemaError, match="bytes expected"):
        make_dataset([(value,)], tmp_path / "a.rec", [lambda value: value])


def test_error_of_a_deserializer_is_its_own(loud):
    with pytest.raises(ZeroDivisionError):
        IndexedRecordDataset(loud, {**BACK, "text": lambda data: 1 / 0})[0]


# Pickling


PICKLED = [
    io.save_int, io.save_int(bits=8), io.load_int(bits=8, signed=False), io.save_float(bits=16), io.save_str(encoding="latin-1"),
    io.save_list(save_fn=io.save_list(save_fn=io.save_int(bits=8))), io.load_list(load_fn=io.load_list(load_fn=io.load_str)),
    io.save_pil(format="PNG", compress_level=1), io.save_cv2(ext=".png"), io.load_pil, io.identity, shifted, shifted(by=3),
    io.save_list(save_fn=shifted(by=3)), io.dump_int(bits=8),
]  # fmt: skip


@pytest.mark.parametrize("function", PICKLED)
def test_function_pickles_with_its_options(function):
    again = pickle.loads(pickle.dumps(function))
    if inspect.isfunction(function):
        assert again is function
    else:
        assert (again.func, again.args) == (function.func, function.args)
        assert pickle.dumps(again) == pickle.dumps(function)


def test_pickled_function_does_the_same():
    save, load = (
        pickle.loads(pickle.dumps(one))
        for one in (io.save_int(bits=8), io.load_list(load_fn=io.load_int(bits=8)))
    )
    assert save(-1) == b"\xff"
    assert load(b"\1\0\0\0\0\0\0\0\xff") == [-1]


def test_dataset_with_functions_pickles(loud):
    ds = pickle.loads(pickle.dumps(IndexedRecordDataset(loud, BACK)))
    assert ds[0] == {"text": "a", "n": 1, "many": ["b", "c"]}


# Names


def test_every_save_has_its_load_and_its_dump():
    saves = {name for name in dir(io) if name.startswith("save_")}
    assert saves == {
        "save_bool", "save_int", "save_float", "save_str", "save_raw_file", "save_pil", "save_np", "save_cv2", "save_list",
    }  # fmt: skip
    for name in saves:
        assert getattr(io, name.replace("save", "dump")) is getattr(io, name)
        assert callable(getattr(io, name.replace("save", "load")))
        assert getattr(io, name).__doc__
        assert getattr(io, name.replace("save", "load")).__doc__


def test_functions_tell_their_options():
    assert list(inspect.signature(io.save_int).parameters) == ["value", "bits", "signed"]
    assert list(inspect.signature(io.save_list).parameters)[:2] == ["values", "save_fn"]
    assert io.save_int.__name__ == "save_int"


def test_kurry_takes_the_value_by_position_only():
    queue = deque()

    @io.kurry
    def put(value, end="right"):
        (queue.append if end == "right" else queue.appendleft)(value)

    put(1)
    put(end="left")(0)
    put(None)
    assert list(queue) == [0, 1, None]


# Optional packages


ABSENT = """
sys.modules["PIL"] = sys.modules["PIL.Image"] = sys.modules["cv2"] = None
import numpy as np, dsrecords
from dsrecords import io, make_dataset
"""


@pytest.mark.parametrize(
    ("code", "package"),
    [
        ("io.load_pil(data)", "pillow"),
        ("io.save_pil(object())", "pillow"),
        ("io.load_cv2(data)", "opencv-python-headless"),
        ("io.save_cv2(np.zeros((2, 2), np.uint8), ext='.png')", "opencv-python-headless"),
        ("dsrecords.open('a.rec')[0]", "pillow"),
        ("dsrecords.open('a.rec').column('x')", "pillow"),
        ("dsrecords.open('a.rec').append({'x': np.zeros((2, 2), np.uint8), 'n': 1})", "pillow"),
    ],
)
def test_missing_package_is_named_by_its_own_name(tmp_path, code, package):
    data = io.save_pil(RED, format="PNG")
    make_dataset([{"x": data, "n": 1}], tmp_path / "a.rec", {"x": "png", "n": "int8"})
    told = python(
        f"{ABSENT}\ndata = bytes.fromhex('{data.hex()}')\ntry: {code}\nexcept ImportError as error: print(error)",
        cwd=tmp_path,
    )
    assert f"pip install {package}" in told


def test_what_needs_no_image_package_works_without(tmp_path):
    data = io.save_pil(RED, format="PNG")
    code = f"""{ABSENT}
data = bytes.fromhex('{data.hex()}')
make_dataset([{{"x": data, "n": 1}}], "a.rec", {{"x": "png", "n": "int8"}})
with dsrecords.open("a.rec") as ds:
    ds.append({{"x": data, "n": 2}})
    assert ds.column("n").tolist() == [1, 2]
    assert ds[1, "n"] == 2 and ds.check() == []
    assert ds.batch([0, 1], ["n"])["n"].tolist() == [1, 2]
    ds.compact()
assert dsrecords.open("a.rec", decode={{"x": "bytes"}})[0] == {{"x": data, "n": 1}}
print("fine")
"""
    assert python(code, cwd=tmp_path) == "fine\n"


def test_import_needs_neither_package_nor_tqdm():
    code = (
        "import dsrecords; print([name for name in ('PIL', 'cv2', 'tqdm') if name in sys.modules])"
    )
    assert python(code) == "[]\n"
