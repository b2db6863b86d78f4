"""Video: each frame that is asked for is the one that decoding everything gives, however the file is made."""

import fractions
import io
import pickle
import random

import numpy as np
import pytest
from conftest import in_thread_of_its_own, large, python

import dsrecords
from dsrecords import DecodeError, SchemaError, make_dataset
from dsrecords._types import video_frames

av = large("av")

pytestmark = pytest.mark.large

COUNT = 40
STEPS = [10 + (17 * i) % 60 for i in range(COUNT)]  # milliseconds
UNEVEN = [sum(STEPS[:i]) for i in range(COUNT)]


def encoded(form, codec, b_frames=2, size=(48, 64), uneven=False, options=None):
    """A video of stripes that grow, with a keyframe each 12 frames."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = 12
        if b_frames is not None:
            stream.codec_context.max_b_frames = b_frames
        if uneven:
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
        for i in range(COUNT):
            pixels = np.full((*size, 3), i, np.uint8)
            pixels[:, : i + 1] = (6 * i, 255 - 6 * i, (37 * i) % 256)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = i
            if uneven:
                frame.pts = UNEVEN[i]
                frame.time_base = fractions.Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def everything(data):
    """All frames and their times, decoded one after the other."""
    with av.open(io.BytesIO(data)) as container:
        decoded = list(container.decode(video=0))
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])
        return frames, [frame.time for frame in decoded]


X265 = "log-level=error:open-gop=1:keyint=12:bframes=3"
VP8 = {"auto-alt-ref": "1", "lag-in-frames": "16"}
VIDEOS = {
    "H.264 in MP4": ("mp4", "libx264", {}),
    "frames at uneven times": ("mp4", "libx264", {"uneven": True}),
    "frames at uneven times in Matroska": ("matroska", "libx264", {"uneven": True}),
    "GOPs that are open": ("mp4", "libx264", {"options": {"x264-params": "open-gop=1:bframes=3:keyint=10"}}),
    "HEVC, GOPs that are open": ("mp4", "libx265", {"size": (64, 64), "options": {"x265-params": X265}}),
    "MPEG-4 in MOV": ("mov", "mpeg4", {}),
    "MPEG-TS": ("mpegts", "libx264", {}),
    "MPEG-2 in MPEG-TS": ("mpegts", "mpeg2video", {}),
    "MPEG-2 in MPEG-PS": ("mpeg", "mpeg2video", {}),
    "MPEG-1 in MPEG-PS": ("mpeg", "mpeg1video", {}),
    "FLV": ("flv", "libx264", {}),
    "AVI with B-frames": ("avi", "libx264", {}),
    "AVI with B-frames of MPEG-4": ("avi", "mpeg4", {}),
    "AVI of JPEG": ("avi", "mjpeg", {"b_frames": None}),
    "VP8 with packets that are never shown": ("webm", "libvpx", {"b_frames": None, "options": VP8}),
    "VP9": ("webm", "libvpx-vp9", {"b_frames": None}),
    "AV1": ("mp4", "libsvtav1", {"b_frames": None, "size": (64, 64)}),
}  # fmt: skip


@pytest.fixture(scope="module", params=VIDEOS)
def video(request):
    form, codec, options = VIDEOS[request.param]
    try:
        return in_thread_of_its_own(encoded, form, codec, **options)
    except av.error.FFmpegError as error:
        pytest.skip(f"this PyAV cannot make such a file: {error}")


def made(folder, *values):
    rows = [{"x": value} for value in values]
    return make_dataset(rows, folder / "a.rec", {"x": "video"}, overwrite=True)[0]


def test_frames_are_those_of_decoding_everything(tmp_path, video):
    frames, times = everything(video)
    found = dsrecords.open(made(tmp_path, video))[0, "x"]
    assert len(found) == len(frames) == COUNT
    order = [*range(COUNT)]
    random.Random(1).shuffle(order)
    assert all(np.array_equal(found[i], frames[i]) for i in order)
    assert all(np.array_equal(found[i], frames[i]) for i in range(COUNT))
    again = pickle.loads(pickle.dumps(found))
    for key in (slice(5, 30, 7), slice(None, None, -3), slice(0, 0), [7, 3, 3], slice(-3, None)):
        assert np.array_equal(again[key], frames[key])
    if not video.startswith(b"RIFF"):  # AVI states no times
        assert np.allclose(found.times, times)


@pytest.fixture
def mp4():
    return encoded("mp4", "libx264")


@pytest.mark.large
def test_positions_of_other_packages_are_those_of_numpy(mp4):
    torch = large("torch")
    frames = video_frames.VideoFrames(mp4)
    for positions in ([1], [2, 0]):
        wanted = frames[positions]
        assert len(wanted) == len(positions)
        assert np.array_equal(frames[np.array(positions)], wanted)
        assert np.array_equal(frames[torch.tensor(positions)], wanted)
    assert np.array_equal(frames[torch.tensor(1)], frames[1])
    for mask in (np.array([True, False]), torch.tensor([True, False])):
        with pytest.raises(TypeError):
            frames[mask]


def test_frames_of_a_range_of_time(mp4):
    found = video_frames.VideoFrames(mp4)
    assert np.allclose(found.times, np.arange(COUNT) / 25)
    assert np.array_equal(found.between(0.2, 0.4), found[5:10])
    assert found.between(5, 6).shape == (0, 48, 64, 3)
    assert np.array_equal(found.between(-1, 99), found[:])
    assert (found.fps, found.width, found.height) == (25, 64, 48)


def test_times_of_avi_follow_from_its_rate():
    found = video_frames.VideoFrames(encoded("avi", "libx264"))
    assert np.allclose(found.times, np.arange(COUNT) / 25)


def test_frame_is_decoded_from_the_keyframe_before_it(mp4, monkeypatch):
    found = video_frames.VideoFrames(mp4)
    assert len(found) == COUNT
    (*_, last) = found._index.keys
    assert last > 24
    offsets = []
    original = found._frame_at_key
    monkeypatch.setattr(
        found, "_frame_at_key", lambda key, index: offsets.append(key) or original(key, index)
    )
    for i in (COUNT - 1, 0, 1, 2, 3, 30):
        found[i]
    assert offsets == [last, 0, found._index.keyframe_before(30)]


def test_wrong_count_is_noticed(mp4, monkeypatch):
    """As if packets had stated frames that the decoder does not return."""
    frames, _ = everything(mp4)
    original = video_frames._count_packets

    def count(data):
        index = original(data)
        stamps = sorted([*index.stamps, index.stamps[20] + 1])
        return index._replace(stamps=stamps)

    monkeypatch.setattr(video_frames, "_count_packets", count)
    found = video_frames.VideoFrames(mp4)
    assert np.array_equal(found[22], frames[22])
    assert len(found) == COUNT
    assert np.array_equal(found[:], frames)


def test_file_is_kept_as_it_is(tmp_path, mp4):
    (tmp_path / "clip.mp4").write_bytes(mp4)
    path = made(tmp_path, mp4, tmp_path / "clip.mp4")
    assert [row["x"] for row in dsrecords.open(path, decode={"x": "bytes"})] == [mp4] * 2
    assert dsrecords.open(path, decode={"x": "frames"})[1, "x"].data == mp4
    assert dsrecords.open(path, copy=False)[1, "x"][3].shape == (48, 64, 3)


@pytest.mark.parametrize("i", [COUNT, -COUNT - 1])
def test_index_out_of_range(mp4, i):
    found = video_frames.VideoFrames(mp4)
    with pytest.raises(IndexError, match=f"frame {i} of a video with {COUNT}"):
        found[i]
    with pytest.raises(TypeError):
        found[1.5]


def test_file_that_pyav_cannot_read_is_not_corrupt(tmp_path, mp4):
    for data in (b"\0\0\0\x18ftypisom", mp4[:600], b"\x1a\x45\xdf\xa3" + bytes(50)):
        with pytest.raises(DecodeError, match="record 0, field 'x', byte 4128: PyAV cannot decode"):
            dsrecords.open(made(tmp_path, data))[0]


def test_file_without_video_is_refused(tmp_path):
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 80), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(DecodeError, match="this file has no video"):
        dsrecords.open(made(tmp_path, file.getvalue()))[0]


def test_what_is_no_video_is_refused(tmp_path):
    for value, message in [
        (b"text", "is not MP4, MOV"),
        (
            np.zeros((3, 4, 4, 3), np.uint8),
            "takes a path or bytes, not an array .*; frames are for",
        ),
    ]:
        with pytest.raises(SchemaError, match=message):
            made(tmp_path, value)


FORKS = """
import gc, os, signal, sys
import dsrecords
gc.disable()
for dropped in (False, True):
    frames = dsrecords.open(sys.argv[1])[0, "x"]
    shown = frames[0]
    if dropped:
        del frames
    child = os.fork()
    if not child:
        signal.alarm(60)  # which ends a child that waits within the decoder
        gc.collect()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, dropped
"""


def test_a_forked_child_lets_go_of_the_decoders_of_its_parent(tmp_path, video):
    python(FORKS, made(tmp_path, video))
