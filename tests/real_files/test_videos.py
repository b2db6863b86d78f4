"""Videos that PyAV writes: kept to the byte, and each frame as PyAV decodes it from the first on."""

import fractions
import io
import pickle

import numpy as np
import pytest
from conftest import in_thread_of_its_own, large
from storing import back, read, refused, store

import dsrecords
from dsrecords import DecodeError, SchemaError

av = large("av")

pytestmark = pytest.mark.large

COUNT = 40
HEIGHT, WIDTH = 48, 64
# Container, encoder, pixel format, and options of the encoder.
FILES = {
    "mp4, H.264 with B-frames": ("mp4", "libx264", "yuv420p", {"bf": "3", "g": "12"}),
    "mp4, H.264 without B-frames": ("mp4", "libx264", "yuv420p", {"bf": "0", "g": "5"}),
    "mp4, H.264 with open groups": ("mp4", "libx264", "yuv420p", {"x264-params": "bframes=3:keyint=10:open-gop=1"}),
    "mp4, H.264 of one group": ("mp4", "libx264", "yuv420p", {"bf": "2", "g": "1000"}),
    "mp4, H.264 without loss": ("mp4", "libx264rgb", "rgb24", {"qp": "0"}),
    "mp4, MPEG-4 with B-frames": ("mp4", "mpeg4", "yuv420p", {"bf": "2", "g": "12"}),
    "mp4, HEVC with B-frames": ("mp4", "libx265", "yuv420p", {"x265-params": "bframes=3:keyint=12:log-level=none"}),
    "mp4, AV1": ("mp4", "libsvtav1", "yuv420p", {"preset": "12", "g": "10"}),
    "mov, Motion JPEG": ("mov", "mjpeg", "yuvj420p", {}),
    "mov, ProRes": ("mov", "prores_ks", "yuv422p10le", {}),
    "mkv, H.264 with B-frames": ("matroska", "libx264", "yuv420p", {"bf": "3", "g": "12"}),
    "mkv, FFV1": ("matroska", "ffv1", "yuv420p", {}),
    "webm, VP9": ("webm", "libvpx-vp9", "yuv420p", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "webm, VP9 with hidden frames": ("webm", "libvpx-vp9", "yuv420p", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "10", "deadline": "good", "cpu-used": "8"}),
    "webm, VP8 with hidden frames": ("webm", "libvpx", "yuv420p", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "10", "cpu-used": "8"}),
    "avi, MPEG-4 with B-frames": ("avi", "mpeg4", "yuv420p", {"bf": "2", "g": "12"}),
    "mpegts, H.264 with B-frames": ("mpegts", "libx264", "yuv420p", {"bf": "3", "g": "12"}),
    "mpeg, MPEG-1 with B-frames": ("mpeg", "mpeg1video", "yuv420p", {"bf": "2", "g": "12"}),
}  # fmt: skip
KNOWN = ("mp4", "mov", "matroska", "webm", "avi")  # others may be refused


def picture(number):
    """A frame whose content moves, and says its number."""
    image = np.add.outer(np.arange(HEIGHT) * 2, np.arange(WIDTH) * 2)[:, :, None] + [0, 30, 60]
    image = (image + 5 * number) % 200
    image[: HEIGHT // 2, : WIDTH // 2] = number * 6
    return image.astype(np.uint8)


def video_of(container, encoder, pixel_format, options, count=COUNT, times=None):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(encoder, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], fractions.Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return buffer.getvalue()


def decoded(data):
    """All frames, and when they are shown, as PyAV decodes them from the first on."""
    with av.open(io.BytesIO(data)) as file:
        frames = list(file.decode(video=0))
    pictures = [frame.to_ndarray(format="rgb24") for frame in frames]
    return np.array(pictures, np.uint8), [frame.time for frame in frames]


@pytest.mark.parametrize("name", FILES)
def test_a_video_is_kept_and_read_as_pyav_reads_it(tmp_path, name):
    container, encoder, *others = FILES[name]
    if encoder not in av.codecs_available:
        return
    data = in_thread_of_its_own(video_of, container, encoder, *others)
    if container not in KNOWN and refused(store, tmp_path, "video", data):
        return
    wanted, times = decoded(data)
    path = store(tmp_path, "video", data)
    assert read(path, "bytes") == data
    video = read(path)
    assert len(video) == len(wanted) and video[0].shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(video[:], wanted)
    order = np.random.default_rng(3).permutation(len(wanted)).tolist()
    for number in [*order, -1, 0, 7, 7, 6]:
        assert np.array_equal(video[number], wanted[number]), number
    for chosen in (slice(3, 20, 4), slice(None, None, -7), slice(5, 5)):
        assert np.array_equal(video[chosen], wanted[chosen])
    assert np.array_equal(video[[9, 2, 9]], wanted[[9, 2, 9]])
    fresh = read(path)
    assert np.array_equal(fresh[len(wanted) - 2], wanted[-2])  # without having decoded the others
    if None not in times:
        if container == "avi":  # it has no times of frames, of which PyAV makes some by itself
            times = np.subtract(times, times[0])
        assert np.allclose(video.times, times)
        between = [0.3 <= time < 0.9 for time in video.times]
        assert np.array_equal(video.between(0.3, 0.9), wanted[between])
    for number in (len(wanted), -len(wanted) - 1):
        with pytest.raises(IndexError):
            video[number]


def test_frames_of_uneven_times(tmp_path):
    times = np.cumsum([1, 5, 1, 1, 9] * 4).tolist()
    data = video_of("mp4", "libx264", "yuv420p", {"bf": "2", "g": "6"}, len(times), times)
    wanted, seconds = decoded(data)
    video = back(tmp_path, "video", data)
    assert np.allclose(video.times, seconds)
    assert np.array_equal(video[::-3], wanted[::-3])
    assert np.array_equal(video.between(seconds[3], seconds[8]), wanted[3:8])


def test_a_video_with_sound(tmp_path):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        sound = output.add_stream("aac", rate=16_000)
        stream = output.add_stream("libx264", rate=25, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            output.mux(stream.encode(frame))
            samples = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), "f4"), format="fltp", layout="mono"
            )
            samples.rate, samples.pts = 16_000, number * 1024
            output.mux(sound.encode(samples))
        output.mux(stream.encode())
        output.mux(sound.encode())
    data = buffer.getvalue()
    wanted, _ = decoded(data)
    assert np.array_equal(back(tmp_path, "video", data)[:], wanted)


def test_columns_lists_copies_and_paths(tmp_path):
    data = video_of(*FILES["mp4, H.264 with B-frames"])
    wanted, _ = decoded(data)
    file = tmp_path / "a.mp4"
    file.write_bytes(data)
    samples = [{"v": file, "w": [str(file), data], "maybe": None}]
    schema = {"v": "video", "w": "list[video]", "maybe": "video?"}
    path, _ = dsrecords.make_dataset(samples, tmp_path / "a.rec", schema)
    for copy in (True, False):
        ds = dsrecords.open(path, copy=copy)
        assert ds[0, "maybe"] is None
        videos = [
            ds[0, "v"],
            *ds[0, "w"],
            *ds.column("v"),
            *ds.batch([0])["v"],
            pickle.loads(pickle.dumps(ds[0, "v"])),
        ]
        for video in videos:
            assert np.array_equal(video[5], wanted[5])


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", ["mp4, H.264 with B-frames", "mkv, H.264 with B-frames"])
def test_a_video_that_was_cut_is_undecodable(tmp_path, name, cut):
    data = in_thread_of_its_own(video_of, *FILES[name])
    part = data[: int(len(data) * cut)]
    path = store(tmp_path, "video", part)
    assert read(path, "bytes") == part
    try:
        wanted, _ = decoded(part)
    except av.error.FFmpegError:
        wanted = []
    if len(wanted) == 0:
        with pytest.raises((DecodeError, IndexError)):
            read(path)[0]
        return
    video = read(path)
    assert np.array_equal(video[0], wanted[0])
    with pytest.raises((DecodeError, IndexError)):
        video[COUNT + 5]


@pytest.mark.parametrize("value", [b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(50), np.zeros((3, 8, 8, 3), np.uint8), 5, ["a.mp4"]], ids=repr)  # fmt: skip
def test_what_is_no_video_is_refused(tmp_path, value):
    with pytest.raises(SchemaError):
        store(tmp_path, "video", value)
