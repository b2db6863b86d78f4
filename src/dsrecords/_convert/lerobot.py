"""LeRobot, version 3: a row for each frame, of Parquet; its videos as references, or decoded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from dsrecords._convert.base import Format, Look, Options, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.lerobot_info import INFO, VIDEO, Feature, Info, Place
from dsrecords._convert.lerobot_parquet import count_rows, parquet_files
from dsrecords._convert.lerobot_values import Image, frames_of
from dsrecords._convert.lerobot_video import FrameReader
from dsrecords._convert.paths import below, category_or_str
from dsrecords.errors import CorruptError

_SPLIT = "split"
_TASK = "task"
_EPISODE = "episode_index"
_TIME = "timestamp"
_TASK_INDEX = "task_index"
_REFERENCE = "reference"
_VIDEOS = (_REFERENCE, "jpeg", "png")


class LeRobotSource(Source):
    """A folder of LeRobot.

    Args:
        path: of the folder.
        videos: what becomes of a frame: "reference", "jpeg" or "png".
    """

    def __init__(self, path: str, videos: str) -> None:
        super().__init__(path)
        self._videos = videos
        self._info = Info(path)
        folder = os.path.join(path, "data")
        self._files = parquet_files(folder)
        self.metadata = self._info.metadata
        self.count = sum(map(count_rows, self._files))
        features = self._info.features
        self._has_task = bool(self._info.tasks) and _TASK_INDEX in features
        self._has_task = self._has_task and _TASK not in features
        self._split = self._info.split_type()
        if _SPLIT in features or _EPISODE not in features:
            self._split = None

    def types(self) -> dict[str, Any]:
        """Return the types of the features; and of the task and the split, which are added."""
        types: dict[str, Any] = {}
        for name, feature in self._info.features.items():
            types[name] = feature.type()
            if self._is_decoded(feature):
                types[name] = self._videos
        if self._has_task:
            types[_TASK] = category_or_str(list(self._info.tasks.values()))
        if self._split is not None:
            types[_SPLIT] = self._split
        return types

    def rows(self, schema: Mapping[str, Any], damage: Damage) -> Iterator[Row]:
        """Return the frames; of a file that cannot be read the rest is left out."""
        expected = self._info.count
        if expected is not None and expected != self.count:
            problem = f"it states {expected} frames, and the files of Parquet have {self.count}"
            damage.leave_out(self._wrong_info(problem))
        completion = _Completion(
            self.path,
            self._info,
            self._decoded(schema),
            schema,
        )
        wanted = self._columns(schema)
        try:
            for file in self._files:
                try:
                    for row in frames_of(file, wanted):
                        yield from completion.completed(row, damage)
                except CorruptError as error:
                    damage.leave_out(error)
        finally:
            completion.close()

    def _wrong_info(self, problem: str) -> CorruptError:
        path = os.path.join(self.path, INFO)
        return unreadable(path, problem)

    def _is_decoded(self, feature: Feature) -> bool:
        is_picture = feature.dtype == VIDEO and not feature.is_depth
        return is_picture and self._videos != _REFERENCE

    def _decoded(self, schema: Mapping[str, Any]) -> list[str]:
        found = []
        for name, feature in self._info.features.items():
            if name in schema and self._is_decoded(feature):
                found.append(name)
        return found

    def _columns(self, schema: Mapping[str, Any]) -> list[Feature]:
        """Return the features that are read: those of the schema, and what is needed for them."""
        features = self._info.features
        names = [name for name in schema if name in features]
        videos = [name for name in names if features[name].dtype == VIDEO]
        needed = []
        if videos:
            needed += [_EPISODE, _TIME]
        if self._has_task and _TASK in schema:
            needed.append(_TASK_INDEX)
        if self._split is not None and _SPLIT in schema:
            needed.append(_EPISODE)
        for name in needed:
            if name not in features:
                raise self._wrong_info(f"there is no feature {name!r}")
        wanted = dict.fromkeys([*names, *needed])
        return [features[name] for name in wanted if name not in videos]


class _Completion:
    """Adds to a frame what other files say of it: its pictures, its task, its split.

    Args:
        folder: of the dataset.
        info: what is said of it.
        decoded: the videos of which frames are decoded; of others they are references.
        schema: the fields that are wanted.
    """

    def __init__(
        self,
        folder: str,
        info: Info,
        decoded: list[str],
        schema: Mapping[str, Any],
    ) -> None:
        self._folder = folder
        self._info = info
        self._fields = list(schema)
        self._places: dict[str, dict[int, Place]] = {}
        for name, feature in info.features.items():
            if name in schema and feature.dtype == VIDEO:
                self._places[name] = info.places(name)
        self._readers = {name: FrameReader(info.fps) for name in decoded}
        self._known: set[str] = set()  # files of video that are there

    def completed(self, row: dict[str, Any], damage: Damage) -> Iterator[Row]:
        """Return a row as a dataset has it; nothing if it is left out."""
        try:
            for name in self._places:
                row[name] = self._picture(name, row)
            for name in self._fields:
                if name not in row:
                    row[name] = self._other(name, row)
                elif isinstance(row[name], Image):
                    row[name] = row[name].read(self._folder)
        except (ValueError, KeyError, OSError, CorruptError) as error:
            damage.leave_out(self._located(error, row))
        else:
            yield {name: row[name] for name in self._fields}

    def _located(self, error: Exception, row: Mapping[str, Any]) -> Exception:
        if isinstance(error, CorruptError):
            return error
        index = row.get("index")
        problem = f"frame {index}: {type(error).__name__}: {error}"
        return unreadable(self._folder, problem)

    def _picture(self, name: str, row: Mapping[str, Any]) -> Any:
        episode = int(row[_EPISODE])
        place = self._places[name].get(episode)
        if place is None:
            raise ValueError(f"it is not said where the video of episode {episode} is")
        path = below(self._folder, place.path)
        if path not in self._known:
            if not os.path.isfile(path):
                raise unreadable(path, "this video is missing")
            self._known.add(path)
        time = place.start + float(row[_TIME])
        reader = self._readers.get(name)
        if reader is None:
            return {
                "path": place.path,
                "timestamp": time,
            }
        return reader.frame(path, time)

    def _other(self, name: str, row: Mapping[str, Any]) -> Any:
        if name == _SPLIT:
            episode = int(row[_EPISODE])
            return self._info.split_of(episode)
        task = int(row[_TASK_INDEX])
        return self._info.tasks[task]

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()


class LeRobot(Format):
    """LeRobot."""

    name = "lerobot"
    title = "LeRobot"
    reads: ClassVar[Mapping[str, str]] = {
        "videos": "'reference' (the default): the path of a video and the time of the frame; "
        "'jpeg' or 'png': the frame itself, decoded by PyAV and encoded as such an image",
    }

    def recognizes(self, look: Look) -> bool:
        """Return whether it is a folder of LeRobot, of any version."""
        if not {"meta", "data"} <= set(look.names):
            return False
        path = os.path.join(look.path, INFO)
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return b'"codebase_version"' in file.read(2**16)

    def open(self, path: str, options: Options) -> Source:
        """Open a folder."""
        videos = options.get("videos", _REFERENCE)
        if videos not in _VIDEOS:
            raise ValueError(f"videos can be 'reference', 'jpeg' or 'png', not {videos!r}")
        return LeRobotSource(path, videos)


FORMAT = LeRobot()
