"""LeRobot, version 3: folders made by hand as its documentation says; its package does not install beside ours."""

import json

import numpy as np
import pytest
from conftest import large
from sources import picture
from test_importing import plain, undecoded

import dsrecords
from dsrecords import convert

FPS = 10
LENGTHS = (3, 5, 4)  # of the episodes; two are in the first file of data, and of video
COUNT = sum(LENGTHS)
TASKS = ["pick the cube", "place the cube"]
CAMERA = "observation.images.top"
FEATURES = {
    "observation.state": {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
    "grid": {"dtype": "int16", "shape": [2, 3], "names": None},
    "note": {"dtype": "string", "shape": [1], "names": None},
    "wrist": {"dtype": "image", "shape": [8, 8, 3], "names": None},
    CAMERA: {"dtype": "video", "shape": [16, 16, 3], "names": None, "info": {"video.fps": FPS}},
    "done": {"dtype": "bool", "shape": [1], "names": None},
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}

pytestmark = pytest.mark.large


def grey(index):
    return 10 + 20 * index


def frames():
    """Which frame is which: its position, episode, place within it, file of the episode."""
    index = 0
    for episode, length in enumerate(LENGTHS):
        for frame in range(length):
            yield index, episode, frame, int(episode == 2)
            index += 1


def expected():
    first = {0: 0.0, 1: LENGTHS[0] / FPS, 2: 0.0}
    rows = []
    for index, episode, frame, file in frames():
        rows.append(
            {
                "observation.state": [index, index / 2],
                "grid": [[index, 1, 2], [3, 4, 5]],
                "note": f"nöte {index}",
                "wrist": picture(index, "PNG"),
                CAMERA: {
                    "path": f"videos/{CAMERA}/chunk-000/file-00{file}.mp4",
                    "timestamp": pytest.approx(first[episode] + frame / FPS),
                },
                "done": frame + 1 == LENGTHS[episode],
                "timestamp": np.float32(frame / FPS),
                "frame_index": frame,
                "episode_index": episode,
                "index": index,
                "task_index": episode % 2,
                "task": TASKS[episode % 2],
                "split": "train" if episode < 2 else "test",
            }
        )
    return rows


def data_table(arrow, file):
    rows = [
        (row, where) for row, where in zip(expected(), frames(), strict=True) if where[3] == file
    ]
    columns = {}
    for name, feature in FEATURES.items():
        if feature["dtype"] == "video":
            continue
        values = [row[name] for row, _ in rows]
        kind = feature["dtype"]
        if kind == "image":
            values = [{"bytes": value, "path": None} for value in values]
            kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
        elif name == "observation.state":  # both are written
            kind = arrow.list_(arrow.float32(), 2 if file else -1)
        elif name == "grid":
            kind = arrow.list_(arrow.list_(arrow.int16()))
        columns[name] = arrow.array(values, kind if kind != "bool" else arrow.bool_())
    return arrow.table(columns)


def write_video(path, indices):
    av = large("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for index in indices:
            pixels = np.full((16, 16, 3), grey(index), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture
def folder(tmp_path):
    """Two files of data, two of video, three episodes."""
    arrow = large("pyarrow")
    import pyarrow.parquet as parquet

    root = tmp_path / "robot"
    for name in ("data/chunk-000", "meta/episodes/chunk-000"):
        (root / name).mkdir(parents=True)
    info = {
        "codebase_version": "v3.0", "robot_type": "so100", "fps": FPS, "total_episodes": len(LENGTHS), "total_frames": COUNT,
        "total_tasks": 2, "chunks_size": 1000, "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": FEATURES, "splits": {"train": "0:2", "test": "2:3"},
    }  # fmt: skip
    (root / "meta" / "info.json").write_text(json.dumps(info))
    (root / "meta" / "stats.json").write_text(json.dumps({"index": {"mean": [5.5]}}))
    for file in (0, 1):
        parquet.write_table(
            data_table(arrow, file), root / "data" / "chunk-000" / f"file-00{file}.parquet"
        )
        indices = [index for index, _, _, its in frames() if its == file]
        write_video(root / "videos" / CAMERA / "chunk-000" / f"file-00{file}.mp4", indices)
    tasks = arrow.table({"task_index": [0, 1], "__index_level_0__": TASKS})
    parquet.write_table(tasks, root / "meta" / "tasks.parquet")
    episodes = arrow.table(
        {
            "episode_index": [0, 1, 2], "length": LENGTHS, f"videos/{CAMERA}/chunk_index": [0, 0, 0],
            f"videos/{CAMERA}/file_index": [0, 0, 1], f"videos/{CAMERA}/from_timestamp": [0.0, 0.3, 0.0],
        }
    )  # fmt: skip
    parquet.write_table(episodes, root / "meta" / "episodes" / "chunk-000" / "file-000.parquet")
    return root


def test_each_frame_is_a_row(tmp_path, folder):
    made = convert(folder, tmp_path / "a.rec")
    assert (made.source_format, made.records) == ("lerobot", COUNT)
    assert made.schema == {
        "observation.state": "float32[2]", "grid": "int16[2,3]", "note": "str", "wrist": "image",
        CAMERA: {"path": "str", "timestamp": "float64"}, "done": "bool", "timestamp": "float32", "frame_index": "int64",
        "episode_index": "int64", "index": "int64", "task_index": "int64",
        "task": 'category["pick the cube", "place the cube"]', "split": 'category["test", "train"]',
    }  # fmt: skip
    assert plain(undecoded(made.path)) == expected()
    metadata = dsrecords.open(made.path).metadata
    assert metadata["lerobot"]["robot_type"] == "so100"
    assert metadata["stats"] == {"index": {"mean": [5.5]}}


@pytest.mark.parametrize("videos", ["jpeg", "png"])
def test_frames_of_videos_are_decoded(tmp_path, folder, videos):
    made = convert(folder, tmp_path / "a.rec", videos=videos)
    assert made.schema[CAMERA] == videos
    ds = dsrecords.open(made.path)
    for index, row in enumerate(ds):
        pixels = np.asarray(row[CAMERA])
        assert pixels.shape == (16, 16, 3)
        assert abs(int(pixels.mean()) - grey(index)) <= 3


def test_fields_are_left_out(tmp_path, folder):
    schema = dict.fromkeys(("timestamp", "episode_index", "task_index", "index"))
    made = convert(folder, tmp_path / "a.rec", schema=schema)
    row = dsrecords.open(made.path)[4]
    assert (row["task"], row["split"], row[CAMERA]["timestamp"]) == (
        TASKS[1],
        "train",
        pytest.approx(0.4),
    )


def test_pictures_beside_and_without_tasks(tmp_path, folder):
    import pyarrow.parquet as parquet

    (folder / "meta" / "tasks.parquet").unlink()
    assert "task" not in convert(folder).schema
    path = folder / "data" / "chunk-000" / "file-000.parquet"
    rows = parquet.read_table(path).to_pylist()
    (folder / "0.png").write_bytes(picture(0, "PNG"))
    rows[0]["wrist"] = {"bytes": None, "path": "0.png"}
    rows[1]["wrist"] = {"bytes": None, "path": "../0.png"}
    rewrite(path, rows)
    with pytest.raises(dsrecords.CorruptError, match="leads out of the folder"):
        convert(folder, tmp_path / "a.rec")
    with pytest.warns(UserWarning, match="left out"):
        made = convert(folder, tmp_path / "a.rec", on_error="skip")
    assert made.records == COUNT - 1
    assert undecoded(made.path)[0]["wrist"] == picture(0, "PNG")


def rewrite(path, rows):
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    parquet.write_table(arrow.Table.from_pylist(rows, parquet.read_schema(path)), path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["codebase_version"], "v2.1"), (["features"], []), (["fps"], 0), (["fps"], "fast"), (["total_frames"], -1),
        (["total_frames"], COUNT + 1), (["splits"], {"train": "all", "test": "0:1"}), (["splits"], 7),
        (["features", "grid", "shape"], [3, 2]), (["features", "grid", "shape"], [10**12]), (["features", "grid", "dtype"], "object"),
        (["features", "note", "dtype"], None), (["features", "observation.state", "shape"], [3]),
        (["features", "missing"], {"dtype": "int64", "shape": [1]}), (["features", "other"], {"dtype": "video", "shape": [1]}),
        (["video_path"], "../../{video_key}.mp4"), (["video_path"], "{video_key.__class__}.mp4"), (["video_path"], "{fps}"),
    ],
)  # fmt: skip
def test_hostile_infos(tmp_path, folder, path, value):
    info = folder / "meta" / "info.json"
    said = json.loads(info.read_text())
    place = said
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    info.write_text(json.dumps(said))
    with pytest.raises(dsrecords.CorruptError, match=str(folder)):
        convert(folder, tmp_path / "a.rec")
    assert not (tmp_path / "a.rec").exists()


FILES = (
    "meta/info.json",
    "meta/tasks.parquet",
    "meta/episodes/chunk-000/file-000.parquet",
    "data/chunk-000/file-001.parquet",
    f"videos/{CAMERA}/chunk-000/file-001.mp4",
)


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_named(tmp_path, folder, name):
    path = folder / name
    data = path.read_bytes()
    for damaged in (data[: len(data) // 2], b"", data[:4]):
        path.write_bytes(damaged)
        with pytest.raises(dsrecords.CorruptError) as error:
            convert(folder, tmp_path / "a.rec", source_format="lerobot", videos="png")
        assert str(path) in str(error.value)
    path.unlink()
    if name == "meta/tasks.parquet":
        return
    with pytest.raises((dsrecords.CorruptError, FileNotFoundError)):
        convert(folder, tmp_path / "a.rec", source_format="lerobot")
    assert not (tmp_path / "a.rec").exists()


def test_a_video_that_ends_early_costs_its_frames_alone(tmp_path, folder):
    path = folder / "videos" / CAMERA / "chunk-000" / "file-001.mp4"
    write_video(path, range(2))
    with pytest.raises(dsrecords.CorruptError, match=r"file-001\.mp4.*ends before"):
        convert(folder, tmp_path / "a.rec", videos="png")
    with pytest.warns(UserWarning, match="left out"):
        made = convert(folder, tmp_path / "a.rec", videos="png", on_error="skip")
    assert (made.records, made.skipped) == (COUNT - 2, 2)


def test_an_unknown_way_of_videos(folder):
    with pytest.raises(ValueError, match="'reference', 'jpeg' or 'png'"):
        convert(folder, videos="frames")
