"""What each package may give to a field of each type: the table in docs/formats.md, written by storing and reading back.

Usage: python tests/types/givers.py    write the table

The first form of a value is what the cell tells; the others must be equal or refused as well.
"""

import datetime
import functools
import io
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import jax
import jax.numpy as jnp
import ml_dtypes
import msgpack  # noqa: F401  without it there are no rows of this type
import numpy as np
import pandas as pd
import pyarrow as pa
import soundfile
import torch
from PIL import Image

import dsrecords
from dsrecords import SchemaError

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
BEGIN = "<!-- givers -->\n"
END = "<!-- end of givers -->\n"
GIVERS = (
    "Python",
    "NumPy",
    "NumPy, big-endian",
    "NumPy, with gaps",
    "PyTorch",
    "JAX",
    "pandas",
    "Arrow",
)
EQUAL = "="
REFUSED = "refused"
NO_VALUE = "–"

Forms = dict[str, list[Any]]  # by giver: the forms in which it can give the value


class Row(NamedTuple):
    """A type, its value as each giver has it, and what comes back."""

    kind: str
    forms: Forms
    wanted: Any
    decode: Any = None
    equal: Callable[[Any, Any], bool] | None = None  # None: equal, and of the same type


# Forms of one value


def torch_forms(array):
    """The tensors that hold these values; in other strides, and with what only tensors have."""
    if array.dtype == ml_dtypes.bfloat16:
        bits = torch.from_numpy(array.view(np.uint16).copy())
        tensor = bits.view(torch.bfloat16)
    elif array.dtype.kind in "biufc":
        tensor = torch.from_numpy(array.copy())
    else:
        return []
    found = [tensor]
    if array.dtype.kind in "fcV":
        found.append(tensor.clone().requires_grad_())
    if array.dtype.kind == "c":
        found.append(tensor.conj().clone().conj())
        found.append(torch.conj(torch.conj(tensor).resolve_conj()))
    if array.ndim:
        found.append(torch.stack([tensor, tensor], dim=-1)[..., 0])
    if array.ndim == 2:
        found.append(tensor.t().contiguous().t())
        found.append(tensor.to_sparse())
    return found


def jax_forms(array):
    if array.dtype.kind not in "biufcV":
        return []
    with jax.enable_x64(True):
        return [jnp.asarray(array)]


def pandas_forms(array):
    """A scalar as a series gives it; a series; a frame."""
    if array.dtype == ml_dtypes.bfloat16 or array.ndim > 2:
        return []
    if array.ndim == 2:
        return [pd.DataFrame(array)]
    values = array.reshape(-1)
    series = pd.Series(values)
    if array.ndim == 0:
        boxed = pd.Series([values[0]], dtype=object)
        return [series.iloc[0], boxed.iloc[0], series.convert_dtypes().iloc[0]]
    indices = [] if array.dtype == np.float16 else [pd.Index(values)]
    return [series, *indices, series.array, series.convert_dtypes()]


def arrow_forms(array):
    if array.dtype.kind not in "biufMm" or array.ndim > 2:
        return []
    if array.ndim == 2:
        if array.dtype.kind == "b":
            return [pa.array(array.tolist())]
        batch = pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack([array, array]))
        return [pa.Tensor.from_numpy(array), batch[0], pa.array(list(array))]
    column = pa.array(array.reshape(-1))
    if array.ndim == 0:
        return [column[0]]
    return [
        column,
        pa.chunked_array([column[:1], column[1:]]),
        pa.ListArray.from_arrays([0, len(column)], column)[0],
    ]


def with_gaps(array):
    if array.ndim == 0:
        return []
    wide = np.repeat(array, 2, axis=-1)
    forms = [wide[..., ::2], array[::-1].copy()[::-1]]
    if array.ndim > 1:
        forms.append(np.asfortranarray(array))
    return forms


def swapped(array):
    if array.dtype.itemsize == 1 or array.dtype == ml_dtypes.bfloat16:
        return []
    return [array.astype(array.dtype.newbyteorder(">"))]


def forms_of(array, python=None):
    """An array, or a number as an array of no dimensions, as each giver has it."""
    numpy = [array]
    if array.ndim == 0:
        numpy = [array[()], array]
    given = [array.tolist()] if python is None else python
    return {
        "Python": given,
        "NumPy": numpy,
        "NumPy, big-endian": swapped(array),
        "NumPy, with gaps": with_gaps(array),
        "PyTorch": torch_forms(array),
        "JAX": jax_forms(array),
        "pandas": pandas_forms(array),
        "Arrow": arrow_forms(array),
    }


def nested(build, parts):
    """The forms of a value that is built of parts: `build` gets one form of each part."""
    forms = {}
    for giver in GIVERS:
        of_parts = [part[giver] for part in parts]
        # With gaps, and in the other byte order: where no number can be, the part as it is.
        if any(of_parts):
            chosen = [of or part["NumPy"] for of, part in zip(of_parts, parts, strict=True)]
            forms[giver] = [build(*(of[0] for of in chosen))]
        else:
            forms[giver] = []
    return forms


def given(**by_giver):
    names = dict(zip(("python", "numpy", "big", "gaps", "torch", "jax", "pandas", "arrow"), GIVERS))
    forms = {giver: [] for giver in GIVERS}
    forms.update({names[name]: values for name, values in by_giver.items()})
    return forms


# Rows


def scalar(kind, value, dtype):
    return Row(kind, forms_of(np.array(value, dtype), [value]), value)


def array(kind, values, dtype):
    wanted = np.array(values, dtype)
    return Row(kind, forms_of(wanted), wanted)


def array_alone(dtype, values):
    wanted = np.array(values, dtype)
    python = [values] if wanted.dtype.kind == "M" else None
    return Row("array", forms_of(wanted, python), wanted, equal=equal_arrays)


def listed(kind, values, dtype):
    numbers = np.array(values, dtype)
    forms = forms_of(numbers)
    singles = [forms_of(np.array(number)) for number in numbers]
    for giver in GIVERS:
        if all(single[giver] for single in singles):
            forms[giver].append([single[giver][0] for single in singles])
    return Row(kind, forms, values)


def equal_arrays(got, wanted):
    """Equal in values, shape and dtype, in whatever byte order."""
    same_dtype = got.dtype.newbyteorder("=") == wanted.dtype.newbyteorder("=")
    return type(got) is np.ndarray and same_dtype and np.array_equal(got, wanted)


def equal_instants(got, wanted):
    """Equal as points in time: one may be an aware datetime, the other NumPy's, in UTC."""
    return as_utc(got) == as_utc(wanted)


def as_utc(time):
    if isinstance(time, datetime.datetime):
        assert time.tzinfo is not None
        time = time.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return np.datetime64(time)


def missing(kind):
    nan = np.float64("nan")
    not_a_time = np.datetime64("NaT", "s")
    if kind.startswith("float"):  # where NaN is a value
        return Row(kind, given(python=[None], pandas=[pd.NA], arrow=[pa.scalar(None)]), None)
    is_time = kind.startswith(("datetime", "timedelta"))
    numpy = [not_a_time, nan] if is_time else [nan, not_a_time]
    forms = given(
        python=[None, float("nan")],
        numpy=numpy,
        big=[np.array(number, number.dtype.newbyteorder(">")) for number in numpy],
        torch=[torch.tensor(float("nan"))],
        jax=[jnp.asarray(float("nan"))],
        pandas=[pd.NA, pd.NaT, pd.Series(["a", None]).iloc[1]],
        arrow=[pa.scalar(None), pa.scalar(None, pa.int64()), pa.scalar(None, pa.string())],
    )
    return Row(kind, forms, None)


def boolean():
    return scalar("bool", True, "?")


def time_scalar(kind, value, python):
    forms = forms_of(np.array(value), [python])
    return Row(kind, forms, value)


def aware(unit):
    zone = datetime.timezone(datetime.timedelta(hours=2))
    local = datetime.datetime(2024, 1, 1, 14, 30, 0, 250_000, tzinfo=zone)
    utc = local.astimezone(datetime.timezone.utc)
    stamp = pd.Timestamp(utc)
    naive = np.array(utc.replace(tzinfo=None), f"M8[{unit}]")
    forms = given(
        python=[utc, local],
        numpy=[naive[()], naive],
        big=swapped(naive),
        pandas=[stamp, pd.Timestamp(local), pd.Series([local]).iloc[0]],
        arrow=[pa.scalar(utc, pa.timestamp(unit, "UTC")), pa.scalar(utc, pa.timestamp(unit, "Europe/Oslo"))],
    )  # fmt: skip
    return Row(f"datetime64[{unit},UTC]", forms, utc, equal=equal_instants)


def string(kind):
    text = "grün"
    numpy = np.array(text)
    categories = pa.array([text]).dictionary_encode()
    forms = given(
        python=[text],
        numpy=[np.str_(text), numpy],
        big=swapped(numpy),
        pandas=[pd.Series([text]).iloc[0], pd.Series([text], dtype="category").iloc[0]],
        arrow=[pa.scalar(text), pa.scalar(text, pa.large_string()), categories[0]],
    )
    return Row(kind, forms, text)


def binary():
    data = b"\x00abc\xff"
    numbers = np.frombuffer(data, np.uint8)
    forms = given(
        python=[data, bytearray(data), memoryview(data)],
        numpy=[numbers, np.array(data), np.bytes_(data), np.void(data)],
        gaps=with_gaps(numbers),
        torch=torch_forms(numbers),
        jax=jax_forms(numbers),
        pandas=[pd.Series([data]).iloc[0]],
        arrow=[pa.scalar(data), pa.py_buffer(data), pa.scalar(data, pa.large_binary())],
    )
    return Row("bytes", forms, data)


def listed_strings():
    texts = ["a", "grün", ""]
    numpy = np.array(texts)
    forms = given(
        python=[texts, tuple(texts)],
        numpy=[numpy, [np.str_(text) for text in texts], np.array(texts, np.dtypes.StringDType())],
        big=swapped(numpy),
        gaps=with_gaps(numpy),
        pandas=[pd.Series(texts), pd.Index(texts), pd.Series(texts, dtype="category")],
        arrow=[pa.array(texts), pa.array([texts])[0], pa.array(texts).dictionary_encode()],
    )
    return Row("list[str]", forms, texts)


def listed_maybe():
    texts = ["a", None]
    forms = given(
        python=[texts],
        numpy=[np.array(texts, object)],
        pandas=[pd.Series(texts), pd.array(texts, "string")],
        arrow=[pa.array(texts), pa.array([texts])[0]],
    )
    return Row("list[str?]", forms, texts)


def numbers_maybe():
    numbers = [1, None]
    forms = given(
        python=[numbers],
        numpy=[np.array(numbers, object), np.ma.MaskedArray([1, 2], [False, True])],
        pandas=[pd.array(numbers, "Int64"), pd.Series(numbers, dtype="Int64")],
        arrow=[pa.array(numbers), pa.array([numbers])[0]],
    )
    return Row("list[int64?]", forms, numbers)


def categories(kind):
    forms = given(
        python=["dog"],
        numpy=[np.str_("dog"), np.array("dog")],
        big=swapped(np.array("dog")),
        pandas=[pd.Categorical(["cat", "dog"])[1], pd.Series(["dog"], dtype="category").iloc[0]],
        arrow=[pa.array(["dog"]).dictionary_encode()[0], pa.scalar("dog")],
    )
    return Row(kind, forms, "dog")


POINT = [(0.5, "<f4"), (7, "<i8")]


def point():
    parts = [forms_of(np.array(value, dtype)) for value, dtype in POINT]
    wanted = {"x": 0.5, "n": 7}
    forms = nested(lambda x, n: {"x": x, "n": n}, parts)
    record = np.array([(0.5, 7)], [("x", "<f4"), ("n", "<i8")])[0]
    forms["NumPy"].append(record)
    forms["pandas"] += [
        pd.DataFrame([wanted]).iloc[0],
        next(pd.DataFrame([wanted]).itertuples(index=False)),
    ]
    forms["Arrow"].insert(0, pa.scalar(wanted))
    return Row("{x:float32,n:int64}", forms, wanted)


def points():
    x = np.array([0.5, 1.5], "<f4")
    n = np.array([7, 8])
    wanted = [{"x": 0.5, "n": 7}, {"x": 1.5, "n": 8}]
    forms = nested(lambda x, n: {"x": x, "n": n}, [forms_of(x), forms_of(n)])
    records = np.array([(0.5, 7), (1.5, 8)], [("x", "<f4"), ("n", "<i8")])
    forms["Python"].insert(0, wanted)
    forms["NumPy"].append(records)
    forms["NumPy, big-endian"].append(records.astype([("x", ">f4"), ("n", ">i8")]))
    forms["NumPy, with gaps"].append(np.repeat(records, 2)[::2])
    forms["pandas"].insert(0, pd.DataFrame(wanted))
    forms["Arrow"] = [
        pa.array(wanted),
        pa.Table.from_pylist(wanted),
        pa.array([wanted])[0],
        *forms["Arrow"],
    ]
    return Row("list[{x:float32,n:int64}]", forms, wanted)


def mapping():
    parts = [forms_of(np.array(value)) for value in (1, 2)]
    forms = nested(lambda a, b: {"a": a, "grün b": b}, parts)
    wanted = {"a": 1, "grün b": 2}
    forms["pandas"].append(pd.Series(wanted))
    forms["Arrow"].append(pa.array([list(wanted.items())], pa.map_(pa.string(), pa.int64()))[0])
    forms["Arrow"].append(pa.scalar(wanted))
    return Row("map[int64]", forms, wanted)


def message(kind):
    """A dict that both kinds of messages hold."""
    numbers = np.array([0.5, 1.5])
    parts = [
        forms_of(np.array(7)),
        forms_of(np.array(0.5)),
        forms_of(np.array(True)),
        forms_of(numbers),
    ]
    forms = nested(lambda n, x, yes, more: {"n": n, "x": x, "yes": yes, "more": more}, parts)
    wanted = {"n": 7, "x": 0.5, "yes": True, "more": [0.5, 1.5]}
    for giver in GIVERS:
        numbers_alone = [part[giver][0] if part[giver] else None for part in parts[:3]]
        if None not in numbers_alone:
            keys = ("n", "x", "yes")
            alone = dict(zip(keys, numbers_alone, strict=True))
            forms[giver].insert(0, {**alone, "more": [0.5, 1.5]})
    forms["pandas"].append(pd.Series(wanted))
    forms["Arrow"].append(pa.scalar(wanted))
    return Row(kind, forms, wanted)


PIXELS = np.arange(16 * 12 * 3, dtype=np.uint8).reshape(16, 12, 3) // 4


def encoded(pixels, format, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def pixels(kind):
    format = "PNG" if kind == "image" else kind.upper()
    options = {} if format == "PNG" else {"quality": 95}
    file = encoded(PIXELS, format, **options)
    wanted = np.array(Image.open(io.BytesIO(file)))
    forms = forms_of(PIXELS, [Image.fromarray(PIXELS), PIXELS.tolist()])
    forms["Arrow"] = [pa.Tensor.from_numpy(PIXELS)]
    return Row(kind, forms, wanted, "array")


def file(kind, data, suffix):
    """A file of another kind. Its bytes are what comes back."""
    path = Path(tempfile.gettempdir()) / f"given{suffix}"
    path.write_bytes(data)
    numbers = np.frombuffer(data, np.uint8)
    forms = given(
        python=[data, path, str(path), memoryview(data)],
        numpy=[numbers, np.void(data)],
        gaps=with_gaps(numbers),
        torch=torch_forms(numbers),
        jax=jax_forms(numbers),
        pandas=[pd.Series([data]).iloc[0]],
        arrow=[pa.scalar(data), pa.py_buffer(data)],
    )
    return Row(kind, forms, data, "bytes")


SAMPLES = np.array([[0, 1000], [-1000, 7], [32767, -32768]], "<i2")


def sound_file():
    buffer = io.BytesIO()
    soundfile.write(buffer, SAMPLES, 16_000, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def sounds(dtype):
    """Samples, which come back as float32 in [-1, 1), and the rate."""
    samples = SAMPLES if dtype == "<i2" else (SAMPLES / 2**15).astype(dtype)
    forms = forms_of(samples)
    given = {giver: [(form, 16_000) for form in found] for giver, found in forms.items()}
    for giver, rates in forms_of(np.array(16_000)).items():
        given[giver] += [(samples, rate) for rate in rates]
    return Row("audio", given, ((SAMPLES / 2**15).astype("<f4"), 16_000))


def video_file():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for number in range(5):
            image = np.full((32, 32, 3), number * 40, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


BF16 = ml_dtypes.bfloat16
TIME = datetime.datetime(2024, 1, 1, 12, 30, 0, 250_000)
NANOSECONDS = np.datetime64("2024-01-01T00:00:00.123456789")
ROWS = {
    "`bool`": boolean,
    **{f"`{name}`": functools.partial(scalar, name, 100, name) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    **{f"`{name}`": functools.partial(scalar, name, 0.5, name) for name in ("float16", "float32", "float64")},
    "`bfloat16`": functools.partial(scalar, "bfloat16", 0.5, BF16),
    "`complex64`": functools.partial(scalar, "complex64", 0.5 + 2j, "<c8"),
    "`complex128`": functools.partial(scalar, "complex128", 0.1 + 2j, "<c16"),
    "`datetime64[us]`": functools.partial(time_scalar, "datetime64[us]", np.datetime64(TIME, "us"), TIME),
    "`datetime64[ns]`": functools.partial(time_scalar, "datetime64[ns]", NANOSECONDS, NANOSECONDS),
    "`datetime64[us,UTC]`": functools.partial(aware, "us"),
    "`timedelta64[us]`": functools.partial(time_scalar, "timedelta64[us]", np.timedelta64(1_500_000, "us"), datetime.timedelta(seconds=1.5)),
    "`category[cat,dog]`": functools.partial(categories, "category[cat,dog]"),
    "`str`": functools.partial(string, "str"),
    "`bytes`": binary,
    "`json`": functools.partial(message, "json"),
    "`msgpack`": functools.partial(message, "msgpack"),
    "`bool[3]`": functools.partial(array, "bool[3]", [True, False, True], "?"),
    "`int64[3]`": functools.partial(array, "int64[3]", [1, -2, 2**40], "<i8"),
    "`uint16[*]`": functools.partial(array, "uint16[*]", [1, 2, 65535], "<u2"),
    "`float32[2,3]`": functools.partial(array, "float32[2,3]", [[0.5, 1, 2], [3, 4, 5]], "<f4"),
    "`float64[*,3]`": functools.partial(array, "float64[*,3]", [[0.1, 1, 2], [3, 4, 5]], "<f8"),
    "`bfloat16[3]`": functools.partial(array, "bfloat16[3]", [0.5, 1, 2], BF16),
    "`complex64[3]`": functools.partial(array, "complex64[3]", [0.5, 1j, 2 - 1j], "<c8"),
    "`datetime64[us][2]`": functools.partial(array, "datetime64[us][2]", ["2024-01-01T00:00:00.123456", "1969-01-01"], "<M8[us]"),
    "`timedelta64[ms][2]`": functools.partial(array, "timedelta64[ms][2]", [1500, -1], "<m8[ms]"),
    "`array` of `float64`": functools.partial(array_alone, "<f8", [[0.1, 1, 2], [3, 4, 5]]),
    "`array` of `int64`": functools.partial(array_alone, "<i8", [1, -2, 2**40]),
    "`array` of `datetime64[ns]`": functools.partial(array_alone, "<M8[ns]", [NANOSECONDS]),
    "`list[bool]`": functools.partial(listed, "list[bool]", [True, False], "?"),
    "`list[int64]`": functools.partial(listed, "list[int64]", [1, -2, 2**40], "<i8"),
    "`list[float32]`": functools.partial(listed, "list[float32]", [0.5, 1.0, -2.0], "<f4"),
    "`list[int64?]`": numbers_maybe,
    "`list[str]`": listed_strings,
    "`list[str?]`": listed_maybe,
    "`{x:float32,n:int64}`": point,
    "`list[{x:float32,n:int64}]`": points,
    "`map[int64]`": mapping,
    "`zstd(list[float64])`": functools.partial(listed, "zstd(list[float64])", [0.5, 1.0], "<f8"),
    **{f"`{kind}`, pixels": functools.partial(pixels, kind) for kind in ("png", "jpeg", "webp", "image")},
    "`png`, a file": lambda: file("png", encoded(PIXELS, "PNG"), ".png"),
    "`audio`, samples of 16 bits": functools.partial(sounds, "<i2"),
    "`audio`, samples of floats": functools.partial(sounds, "<f8"),
    "`audio`, a file": lambda: file("audio", sound_file(), ".wav"),
    "`video`, a file": lambda: file("video", video_file(), ".mp4"),
    "`file`": lambda: file("file", b"%PDF-1.7 what PDF begins with", ".pdf"),
    **{f"`{kind}`, None": functools.partial(missing, kind) for kind in ("int64?", "float64?", "str?", "datetime64[us]?", "float32[3]?")},
}  # fmt: skip


# Outcomes


def outcome(row, form):
    """Store a form of a row's value alone and in a column: "=", "refused", or what else happened."""
    alone = _stored(row, [form], in_column=False)
    in_column = _stored(row, [form, form], in_column=True)
    if alone == in_column:
        return alone
    return f"alone: {alone}, in a column: {in_column}"


def _stored(row, forms, *, in_column):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a.rec"
        schema = {"v": row.kind}
        decode = {} if row.decode is None else {"decode": {"v": row.decode}}
        try:
            if in_column:
                dsrecords.make_dataset([], path, schema)
                with dsrecords.open(path) as ds:
                    ds.extend_columns({"v": forms})
            else:
                dsrecords.make_dataset([{"v": form} for form in forms], path, schema)
        except SchemaError:
            return REFUSED
        except Exception as error:  # noqa: BLE001  it is told, and no outcome of the table
            return f"{type(error).__name__}: {error}"
        values = [sample["v"] for sample in dsrecords.open(path, **decode)]
        equal = row.equal or same
        for value in values:
            if not equal(value, row.wanted):
                return f"came back as {value!r}"
        return EQUAL


def same(got, wanted):
    # Imported here, because a script of another folder does not find it at once.
    from sameness import same as same_value

    return same_value(got, wanted)


@functools.cache
def outcomes(label):
    """For each giver, the outcome of each form in which it can give the value of a row."""
    row = ROWS[label]()
    found = {}
    for giver in GIVERS:
        forms = row.forms[giver]
        found[giver] = [(form, outcome(row, form)) for form in forms]
    return found


def cells(label):
    """The row of the table: what happens to the first form of each giver."""
    row = []
    for tried in outcomes(label).values():
        if tried:
            _, first = tried[0]
            row.append(first)
        else:
            row.append(NO_VALUE)
    return row


def table():
    head = f"| type | {' | '.join(GIVERS)} |"
    rule = "| --- |" + " --- |" * len(GIVERS)
    rows = [f"| {label} | {' | '.join(cells(label))} |" for label in ROWS]
    return "\n".join(["", head, rule, *rows, "", ""])


def on_the_page():
    found = re.search(f"{BEGIN}(.*?){END}", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return found[1]


def main():
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(before + BEGIN + table() + END + after, encoding="utf-8")


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
