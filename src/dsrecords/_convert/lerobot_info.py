"""What the folder `meta` of a LeRobot dataset says: features, tasks, and where episodes lie."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from dsrecords._convert.base import unreadable
from dsrecords._convert.lerobot_parquet import (
    columns_in,
    damage_of,
    parquet_files,
    read_rows,
)
from dsrecords._convert.paths import below, category_or_str
from dsrecords._schema.notation import is_type_name

INFO = os.path.join("meta", "info.json")
VIDEO = "video"
IMAGE = "image"
_TASKS = os.path.join("meta", "tasks.parquet")
_STATS = os.path.join("meta", "stats.json")
_EPISODES = os.path.join("meta", "episodes")
_TASK_INDEX = "task_index"
_VERSION = "v3."
_WITHOUT_SHAPE = (VIDEO, IMAGE, "string", "language")
_HIGHEST_RATE = 1e6  # frames per second
_LONGEST = 2**26  # bytes of a file of JSON
_LONGEST_STATS = 2**20  # of those that are kept
_VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_PLACEHOLDER = re.compile(r"\{(?P<key>\w+)(?::0(?P<width>\d)d)?\}")
_LANGUAGE = ("language_persistent", "language_events")
"""Features whose rows are lists of messages, whatever is stated of them."""


class Feature(NamedTuple):
    """A feature.

    Attributes:
        name: of it.
        dtype: as it is stated: of NumPy, or "string", "image", "video", "language".
        shape: of a value; none of a single one.
        is_depth: whether it is a picture of distances, not of colours.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_depth: bool

    def type(self) -> Any:
        """Return the type of its values; of a video that of a reference. Raises ValueError."""
        known: dict[str, Any] = {
            "string": "str",
            "language": "json",
            IMAGE: "image",
            VIDEO: {
                "path": "str",
                "timestamp": "float64",
            },
        }
        if self.dtype in known:
            return known[self.dtype]
        kind = self.dtype
        if self.shape:
            sizes = ",".join(map(str, self.shape))
            kind = f"{kind}[{sizes}]"
        if not is_type_name(kind):
            raise ValueError(f"{self.name!r} is of no known type: {kind}")
        return kind


class Place(NamedTuple):
    """Where the frames of an episode lie in a video.

    Attributes:
        path: of the file, in the folder of the dataset.
        start: when the first of them is shown, in seconds.
    """

    path: str
    start: float


class Info:
    """What is said of a dataset.

    Args:
        folder: of the dataset.

    Attributes:
        features: by their names.
        count: how many frames it has; None if that is not said.
        fps: frames per second.
        tasks: what is to be done, by the numbers of tasks.
        metadata: the file `meta/info.json`, and statistics if they are short.

    Raises:
        CorruptError: it is damaged; says where.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._path = os.path.join(folder, INFO)
        said = self._json(self._path)
        try:
            _require_version(said["codebase_version"])
            self.features = _features(said["features"])
            self.count = _count(said.get("total_frames"))
            self.fps = _rate(said["fps"])
            self._ranges = _ranges(said.get("splits") or {})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise unreadable(self._path, problem) from None
        self._video_path: str = _VIDEO_PATH
        if said.get("video_path"):
            self._video_path = str(said["video_path"])
        self.tasks = self._read_tasks()
        self.metadata = {"lerobot": said}
        stats = os.path.join(folder, _STATS)
        if not os.path.isfile(stats):
            return
        if os.path.getsize(stats) <= _LONGEST_STATS:
            self.metadata["stats"] = self._json(stats)

    def split_type(self) -> str | None:
        """Return the type of the names of splits; None if there are not several."""
        if len(self._ranges) < 2:
            return None
        return category_or_str(list(self._ranges))

    def split_of(self, episode: int) -> str | None:
        """Return the name of the split that an episode is in."""
        for name, episodes in self._ranges.items():
            if episode in episodes:
                return name
        return None

    def places(self, video: str) -> dict[int, Place]:
        """Return where the frames of each episode lie in the files of a video.

        Raises:
            CorruptError: that is not said, or leads out of the folder.
        """
        columns = [
            "episode_index",
            f"videos/{video}/chunk_index",
            f"videos/{video}/file_index",
            f"videos/{video}/from_timestamp",
        ]
        found = {}
        folder = os.path.join(self._folder, _EPISODES)
        for path in parquet_files(folder):
            with damage_of(path):
                for episode, chunk, file, start in read_rows(path, columns):
                    name = self._video_name(
                        video,
                        int(chunk),
                        int(file),
                    )
                    place = Place(name, float(start))
                    found[int(episode)] = place
        return found

    def _video_name(self, video: str, chunk: int, file: int) -> str:
        values = {
            "video_key": video,
            "chunk_index": str(chunk),
            "file_index": str(file),
        }

        def filled(match: re.Match[str]) -> str:
            value = values[match["key"]]
            width = match["width"]
            if width is None:
                return value
            return value.zfill(int(width))

        name = _PLACEHOLDER.sub(filled, self._video_path)
        below(self._folder, name)
        return name

    def _read_tasks(self) -> dict[int, str]:
        path = os.path.join(self._folder, _TASKS)
        if not os.path.isfile(path):
            return {}
        with damage_of(path):
            names = columns_in(path)
            # Of a DataFrame whose index are the tasks: its name is not always written.
            texts = [name for name in names if name != _TASK_INDEX]
            if len(names) != 2 or len(texts) != 1:
                raise ValueError(f"its columns are {names}, not task and task_index")
            found = {}
            for number, task in read_rows(path, [_TASK_INDEX, *texts]):
                if not isinstance(task, str):
                    raise ValueError(f"{task!r} is no task")
                found[int(number)] = task
        return found

    def _json(self, path: str) -> dict[str, Any]:
        try:
            if os.path.getsize(path) > _LONGEST:
                raise ValueError(f"it is longer than {_LONGEST} bytes")
            with open(path, encoding="utf-8") as file:
                said = json.load(file)
            if not isinstance(said, dict):
                raise ValueError("it is no object")
        except (ValueError, RecursionError) as error:
            raise unreadable(path, f"it is no JSON of LeRobot: {error}") from None
        return said


def _require_version(version: Any) -> None:
    if str(version).startswith(_VERSION):
        return
    raise ValueError(
        f"it is of version {version}, and what is read is {_VERSION}0: convert it with "
        "lerobot.scripts.convert_dataset_v21_to_v30 of LeRobot first"
    )


def _rate(said: Any) -> float:
    rate = float(said)
    if not 0 < rate < _HIGHEST_RATE:
        raise ValueError(f"fps cannot be {said!r}")
    return rate


def _features(said: Mapping[str, Any]) -> dict[str, Feature]:
    found = {}
    for name, feature in said.items():
        dtype = str(feature["dtype"])
        if name in _LANGUAGE:
            dtype = "language"
        stated = feature.get("shape") or ()
        shape = tuple(int(size) for size in stated)
        if shape == (1,) or dtype in _WITHOUT_SHAPE:
            shape = ()
        found[name] = Feature(
            name,
            dtype,
            shape,
            _is_depth(feature),
        )
        found[name].type()
    return found


def _is_depth(feature: Mapping[str, Any]) -> bool:
    """Return whether a picture is marked as one of distances, as versions mark it."""
    for where in ("info", "video_info"):
        info = feature.get(where) or {}
        for key in ("is_depth_map", "video.is_depth_map"):
            if info.get(key):
                return True
    return False


def _count(said: Any) -> int | None:
    if said is None:
        return None
    if not isinstance(said, int) or said < 0:
        raise ValueError(f"total_frames cannot be {said!r}")
    return said


def _ranges(said: Mapping[str, str]) -> dict[str, range]:
    """Return the episodes of each split, of which "0:50" is said."""
    found = {}
    for name, episodes in said.items():
        first, _, last = episodes.partition(":")
        found[str(name)] = range(int(first), int(last))
    return found
