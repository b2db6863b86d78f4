"""Videos and sounds in a real browser: they play, waveforms are drawn, and what it cannot play says so."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from conftest import large
from viewing import shown

import dsrecords

pytestmark = pytest.mark.large
pytest_plugins = ["browsers"]

RATE = 8000  # samples a second
SECONDS = 4
PLAYING = "player => player.currentTime > 0.2 && player.error === null"
# Of a drawing, the share of columns that have a pixel above the middle's: the loud ones.
LOUD = """canvas => {
  const { width, height } = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const isDrawn = (x) => pixels[4 * ((height >> 2) * width + x) + 3] > 0;
  return Array.from({ length: width }, (_, x) => x).filter(isDrawn).length / width;
}"""


def tone():
    """A second of sound, one of silence, and so on: int16."""
    times = np.arange(RATE * SECONDS) / RATE
    sound = 0.9 * np.sin(2 * np.pi * 220 * times) * (times.astype(int) % 2 == 0)
    return (sound * 32767).astype("<i2")


def wav():
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, RATE, 0, "NONE", ""))
        writer.writeframes(tone().tobytes())
    return file.getvalue()


def sound_as(container, encoder):
    """The tone in a file of another format."""
    av = large("av")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(encoder, rate=48_000 if encoder == "libopus" else 44_100)
        samples = np.repeat(tone(), 6)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 48_000
        resampler = av.AudioResampler(stream.format, stream.layout, stream.rate, frame_size=1024)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return file.getvalue()


def video(container, encoder):
    av = large("av")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(encoder, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(10 * SECONDS):
            picture = np.full((48, 64, 3), (6 * i, 80, 200), np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return file.getvalue()


def played(page, kind):
    """The player of the record that is shown, once it plays: started by its key."""
    player = page.locator(f"#record {kind}")
    player.wait_for()
    player.focus()
    page.keyboard.press("Space")
    page.wait_for_function(PLAYING, arg=player.element_handle())
    return player


VIDEOS = [("mp4", "libx264"), ("webm", "libvpx"), ("webm", "libvpx-vp9")]


def test_videos_play(other_page, tmp_path):
    page = other_page
    samples = [{"clip": video(*how), "name": " ".join(how)} for how in VIDEOS]
    dsrecords.make_dataset(samples, tmp_path / "clips.rec", {"clip": "video", "name": "str"})
    with shown(page, tmp_path / "clips.rec"):
        for i in range(len(samples)):
            page.keyboard.press("j")
            page.get_by_role("heading", name=f"Record {i}", exact=True).wait_for()
            player = played(page, "video")
            assert player.evaluate("player => [player.videoWidth, player.videoHeight]") == [64, 48]
            assert player.evaluate("player => Math.abs(player.duration - 4) < 0.3")


SOUNDS = [
    ("wav", None),
    ("flac", "flac"),
    ("mp3", "libmp3lame"),
    ("ogg", "libopus"),
    ("ipod", "aac"),
]


@pytest.mark.parametrize(("container", "encoder"), SOUNDS)
def test_sounds_play_below_their_waveform(other_page, tmp_path, container, encoder):
    page = other_page
    data = wav() if encoder is None else sound_as(container, encoder)
    kind = "bytes" if container == "ipod" else "audio"  # which no field of sounds takes
    dsrecords.make_dataset([{"sound": data}], tmp_path / "sounds.rec", {"sound": kind})
    with shown(page, tmp_path / "sounds.rec"):
        page.keyboard.press("j")
        player = played(page, "audio")
        assert player.evaluate("player => Math.abs(player.duration - 4) < 0.3")
        line = page.locator("#record canvas.wave")
        line.wait_for()
        assert 0.45 < line.evaluate(LOUD) < 0.6  # every other second is loud
        assert page.locator("#record video").count() == 0


def test_what_cannot_be_played_says_so(other_page, tmp_path):
    page = other_page
    right = video("mp4", "libx264")
    sound = wav()
    samples = [{"clip": right[:32] + bytes(len(right) - 32), "sound": sound[:12] + bytes(500)}]
    schema = {"clip": "bytes", "sound": "bytes"}
    dsrecords.make_dataset(samples, tmp_path / "broken.rec", schema)
    with shown(page, tmp_path / "broken.rec"):
        page.keyboard.press("j")
        for text in ("a video that this browser cannot play", "a sound that this browser cannot"):
            page.locator("#record .unplayable", has_text=text).wait_for()


def test_lists_read_no_videos_and_no_sounds(other_page, tmp_path):
    page = other_page
    clip = video("mp4", "libx264") + bytes(300_000)
    samples = [{"clip": clip, "sound": wav(), "name": f"clip {i}"} for i in range(5)]
    schema = {"clip": "video", "sound": "audio", "name": "str"}
    dsrecords.make_dataset(samples, tmp_path / "large.rec", schema)
    asked = []
    page.on("request", lambda request: asked.append(request.headers.get("range")))
    with shown(page, tmp_path / "large.rec"):
        page.locator(".row", has_text="clip 4").wait_for()
        page.locator(".row", has_text=f"video, {len(clip) // 1000} kB").first.wait_for()
    ranges = [text.removeprefix("bytes=").split("-") for text in asked if text]
    wanted = sum(int(last) - int(first) + 1 for first, last in ranges)
    assert wanted < Path(tmp_path / "large.rec").stat().st_size
