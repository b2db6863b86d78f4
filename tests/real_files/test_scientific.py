"""DICOM, NIfTI, FITS, TIFF and tensors: files kept to the byte, and what their libraries read of them stored and read back."""

import io

import numpy as np
import pytest
from conftest import large
from storing import back, read, refused, store

import dsrecords
from dsrecords import DSRecordsError, SchemaError

pydicom = large("pydicom")
nibabel = large("nibabel")
units = large("astropy.units")
fits = large("astropy.io.fits")
tables = large("astropy.table")
tifffile = large("tifffile")
torch = large("torch")
jax = large("jax")

pytestmark = pytest.mark.large

RANDOM = np.random.default_rng(7)


def same(got, wanted):
    """Equal in values, shape and dtype, in whatever byte order."""
    as_here = wanted.dtype.newbyteorder("=")
    equal = np.array_equal(got, wanted, equal_nan=wanted.dtype.kind in "fc")
    return got.dtype.newbyteorder("=") == as_here and equal


def numbers(dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return RANDOM.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return RANDOM.integers(
        limits.min, limits.max, shape, endpoint=True, dtype=dtype.newbyteorder("=")
    ).astype(dtype)


def as_file(tmp_path, data, suffix):
    """A file comes back as it is, by its path, with its suffix; and from a field of bytes."""
    file = tmp_path / f"a{suffix}"
    file.write_bytes(data)
    assert back(tmp_path, "file", file, "bytes") == data
    assert back(tmp_path, "bytes", data) == data
    return file


# DICOM


def dicom(pixels, syntax):
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = pydicom.Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    order = "<" if syntax != pydicom.uid.ExplicitVRBigEndian else ">"
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
@pytest.mark.parametrize(
    "syntax", ["ExplicitVRLittleEndian", "ExplicitVRBigEndian", "ImplicitVRLittleEndian"]
)
def test_dicom(tmp_path, dtype, syntax):
    wanted = numbers(dtype, (10, 12))
    data = dicom(wanted, getattr(pydicom.uid, syntax))
    as_file(tmp_path, data, ".dcm")
    pixels = pydicom.dcmread(io.BytesIO(back(tmp_path, "bytes", data))).pixel_array
    assert same(pixels, wanted)
    for kind in (f"{dtype}[*,*]", "array", f"{dtype}[10,12]"):
        assert same(back(tmp_path, kind, pixels), wanted)


# NIfTI


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", ">f4", "uint8", ">f8"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti(tmp_path, dtype, suffix):
    wanted = numbers(dtype, (4, 5, 6))
    header = nibabel.Nifti1Header(endianness=">" if dtype[0] == ">" else "<")
    image = nibabel.Nifti1Image(wanted, np.eye(4), header)
    image.set_data_dtype(wanted.dtype)
    path = tmp_path / f"made{suffix}"
    nibabel.save(image, path)
    file = as_file(tmp_path, path.read_bytes(), suffix)
    loaded = nibabel.load(file)
    for values in (np.asanyarray(loaded.dataobj), loaded.dataobj, loaded.get_fdata()):
        wanted = np.asanyarray(values)
        name = wanted.dtype.newbyteorder("=").name
        for kind in ("array", f"{name}[4,5,6]", f"{name}[*,*,*]"):
            if not refused(store, tmp_path, kind, values):
                assert same(back(tmp_path, kind, values), wanted)


def test_a_scaled_volume_is_its_values_or_refused(tmp_path):
    image = nibabel.Nifti1Image(numbers("<i2", (4, 5, 6)), np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    path = tmp_path / "scaled.nii"
    nibabel.save(image, path)
    proxy = nibabel.load(path).dataobj
    for kind in ("array", "float64[4,5,6]", "int16[4,5,6]"):
        if not refused(store, tmp_path, kind, proxy):
            assert np.array_equal(back(tmp_path, kind, proxy), np.asanyarray(proxy))


# FITS


@pytest.mark.parametrize("dtype", ["u1", ">i2", ">i4", ">i8", ">f4", ">f8"])
def test_fits_images(tmp_path, dtype):
    wanted = numbers(dtype, (6, 7))
    buffer = io.BytesIO()
    fits.PrimaryHDU(wanted).writeto(buffer)
    file = as_file(tmp_path, buffer.getvalue(), ".fits")
    name = wanted.dtype.newbyteorder("=").name
    with fits.open(file) as opened:
        values = opened[0].data
        assert same(values, wanted)
        for kind in ("array", f"{name}[6,7]", f"{name}[*,*]"):
            assert same(back(tmp_path, kind, values), wanted)
        assert same(np.array(back(tmp_path, f"list[list[{name}]]", values), name), wanted)


def test_fits_tables(tmp_path):
    columns = {
        "n": numbers(">i4", 5),
        "x": numbers(">f8", 5),
        "name": np.array(["a", "bc", "", "d", "é"[:0]]),
    }
    buffer = io.BytesIO()
    fits.BinTableHDU(tables.Table(columns)).writeto(buffer)
    with fits.open(io.BytesIO(buffer.getvalue())) as opened:
        rows = opened[1].data
        kind = "list[{n:int32,x:float64,name:str}]"
        wanted = [{"n": int(n), "x": float(x), "name": str(name)} for n, x, name in rows]
        given = {name: rows[name] for name in columns}
        assert back(tmp_path, kind, given) == wanted
        if not refused(store, tmp_path, kind, rows):
            assert back(tmp_path, kind, rows) == wanted


def test_a_scaled_column_is_its_values_or_refused(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("x", "I", array=np.array([1, 3], ">i2"))])
    table.header["TSCAL1"] = 0.5
    table.header["TZERO1"] = 1.0
    buffer = io.BytesIO()
    table.writeto(buffer)
    with fits.open(io.BytesIO(buffer.getvalue())) as opened:
        scaled = opened[1].data["x"]
        assert back(tmp_path, "float64[2]", scaled).tolist() == [1.5, 2.5]
        records = opened[1].data  # its plain array has the numbers before scaling
        for kind in ("array", "list[{x:float64}]"):
            if not refused(store, tmp_path, kind, records):
                got = back(tmp_path, kind, records)
                values = got["x"].tolist() if kind == "array" else [row["x"] for row in got]
                assert values == [1.5, 2.5]


@pytest.mark.parametrize("kind", ["float64[3]", "array", "list[float64]", "float64", "float32[*]"])
def test_a_unit_is_not_dropped(tmp_path, kind):
    quantity = [1.0, 2, 3] * units.km
    with pytest.raises(SchemaError):
        store(tmp_path, kind, quantity[0] if kind == "float64" else quantity)
    ds = dsrecords.open(dsrecords.make_dataset([], tmp_path / "q.rec", {"v": "float64"})[0])
    with ds, pytest.raises(SchemaError):
        ds.extend_columns({"v": quantity})


def test_a_masked_column_is_not_filled(tmp_path):
    column = tables.MaskedColumn([1, 2, 3], mask=[False, True, False])
    for kind in ("int64[3]", "array", "list[int64]"):
        with pytest.raises(SchemaError):
            store(tmp_path, kind, column)
    if not refused(store, tmp_path, "list[int64?]", column):
        assert back(tmp_path, "list[int64?]", column) == [1, None, 3]


# TIFF


TIFFS = {
    "big-endian": ("uint16", (8, 9), {"byteorder": ">"}),
    "little-endian": ("uint16", (8, 9), {"byteorder": "<"}),
    "BigTIFF": ("uint16", (8, 9), {"bigtiff": True}),
    "BigTIFF, big-endian": ("uint16", (8, 9), {"bigtiff": True, "byteorder": ">"}),
    "8 bits": ("uint8", (8, 9), {}),
    "colour": ("uint8", (8, 9, 3), {"photometric": "rgb"}),
    "colour, planar": ("uint8", (3, 8, 9), {"photometric": "rgb", "planarconfig": "separate"}),
    "colour, 16 bits": ("uint16", (8, 9, 3), {"photometric": "rgb"}),
    "colour, 16 bits, big-endian": ("uint16", (8, 9, 3), {"photometric": "rgb", "byteorder": ">"}),
    "colour, float": ("float32", (8, 9, 3), {"photometric": "rgb"}),
    "alpha": ("uint8", (8, 9, 4), {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    "float32": ("float32", (8, 9), {}),
    "float32, big-endian": ("float32", (8, 9), {"byteorder": ">"}),
    "float64": ("float64", (8, 9), {}),
    "float16": ("float16", (8, 9), {}),
    "int16": ("int16", (8, 9), {}),
    "int16, big-endian": ("int16", (8, 9), {"byteorder": ">"}),
    "int32": ("int32", (8, 9), {}),
    "int8": ("int8", (8, 9), {}),
    "uint32": ("uint32", (8, 9), {}),
    "uint32, big-endian": ("uint32", (8, 9), {"byteorder": ">"}),
    "pages": ("uint8", (4, 8, 9), {"photometric": "minisblack"}),
    "pages of 16 bits": ("uint16", (4, 8, 9), {"photometric": "minisblack"}),
    "pages of 16 bits, big-endian": ("uint16", (4, 8, 9), {"photometric": "minisblack", "byteorder": ">"}),
    "pages in colour": ("uint8", (4, 8, 9, 3), {"photometric": "rgb"}),
    "pages of floats": ("float32", (4, 8, 9), {"photometric": "minisblack"}),
    "zlib": ("uint16", (8, 9), {"compression": "zlib"}),
    "zlib, with a predictor": ("uint16", (8, 9), {"compression": "zlib", "predictor": True}),
    "tiles": ("uint8", (40, 50), {"tile": (16, 16)}),
    "tiles of 16 bits": ("uint16", (40, 50), {"tile": (16, 16), "byteorder": ">"}),
    "white is zero": ("uint8", (8, 9), {"photometric": "miniswhite"}),
    "bilevel": ("bool", (8, 9), {"photometric": "minisblack"}),
}  # fmt: skip


@pytest.mark.parametrize("name", TIFFS)
def test_tiff(tmp_path, name):
    dtype, shape, options = TIFFS[name]
    pixels = RANDOM.integers(0, 2, shape).astype(bool) if dtype == "bool" else numbers(dtype, shape)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    data = buffer.getvalue()
    wanted = tifffile.imread(io.BytesIO(data))
    assert same(wanted, pixels)
    path = store(tmp_path, "image", data)
    assert read(path, "bytes") == data
    assert same(back(tmp_path, "array", wanted), wanted)
    try:
        got = read(path, "array")
    except DSRecordsError as error:
        assert error.record == 0 and error.field == "v"
        return
    if "planar" in name:
        wanted = wanted.transpose(1, 2, 0)
    if name == "white is zero":
        wanted = 255 - wanted
    if name == "bilevel" and got.dtype == np.uint8:
        wanted = wanted * np.uint8(255)
    if name.startswith(("int16", "uint32")):  # as a wider or a signed number, of the same value
        assert np.array_equal(got, wanted)
    else:
        assert same(got, wanted)


# Tensors


TENSORS = {
    "float32": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "transposed": torch.arange(6).reshape(3, 2).t(),
    "requires grad": torch.ones(2, 3, requires_grad=True),
    "a parameter": torch.nn.Parameter(torch.ones(2, 3)),
    "expanded": torch.ones(1, 3).expand(2, 3),
    "negated view": torch.ones(2, 3, dtype=torch.complex64).conj().imag,
    "sliced": torch.arange(24).reshape(4, 6)[::2, ::2],
    "half": torch.ones(2, 3, dtype=torch.float16),
    "bool": torch.eye(2, 3).bool(),
    "uint8": torch.arange(6, dtype=torch.uint8).reshape(2, 3),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors(tmp_path, name):
    tensor = TENSORS[name]
    wanted = tensor.detach().resolve_neg().numpy()
    for kind in ("array", f"{wanted.dtype}[2,3]", f"{wanted.dtype}[*,3]"):
        assert same(back(tmp_path, kind, tensor), wanted)
    of_jax = jax.numpy.asarray(wanted)
    assert same(back(tmp_path, "array", of_jax), np.asarray(of_jax))
    assert back(tmp_path, f"list[list[{wanted.dtype}]]", tensor) == wanted.tolist()


@pytest.mark.parametrize("name", ["conjugated", "bfloat16", "sparse", "float8", "meta"])
def test_tensors_that_numpy_has_not_are_equal_or_refused(tmp_path, name):
    tensor = {
        "conjugated": lambda: torch.tensor([1 + 2j, 3]).conj(),
        "bfloat16": lambda: torch.tensor([0.5, 2], dtype=torch.bfloat16),
        "float8": lambda: torch.tensor([0.5, 2]).to(torch.float8_e4m3fn),
        "sparse": lambda: torch.tensor([0.5, 2]).to_sparse(),
        "meta": lambda: torch.zeros(2, device="meta"),
    }[name]()
    for kind in (
        "array",
        "float32[2]",
        "bfloat16[2]",
        "complex64[2]",
        "complex128[*]",
        "list[float32]",
    ):
        if refused(store, tmp_path, kind, tensor):
            continue
        got = np.array(back(tmp_path, kind, tensor))
        wanted = [1 - 2j, 3] if name == "conjugated" else [0.5, 2]
        assert got.astype(complex).tolist() == wanted, kind


def test_what_torch_saves_is_bytes_alone(tmp_path):
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(3)}, buffer)
    data = buffer.getvalue()
    as_file(tmp_path, data, ".pt")
    loaded = torch.load(io.BytesIO(back(tmp_path, "bytes", data)), weights_only=True)
    assert loaded["w"].tolist() == [1, 1, 1]
    for kind in ("image", "audio", "png"):
        with pytest.raises(SchemaError):
            store(tmp_path, kind, data)
