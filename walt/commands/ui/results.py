"""The folder of finished videos: one folder for each, which appears when it is whole.

20261128-221530-1a2b3c/video.mp4     as ``walt sample`` writes it, with its settings inside
20261128-221530-1a2b3c/result.json   order, settings, digests of the models
"""

from __future__ import annotations

import shutil
import threading
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from walt.commands.sample.videos import Made
from walt.commands.ui.orders import ResultView
from walt.core.log import warning
from walt.core.storage import TEMPORARY_SUFFIX, atomic_directory, clean_temporary, write_json
from walt.sampling.output import write_sample

_VIDEO, _RESULT = "video.mp4", "result.json"


class Results:
    """All finished videos, those of earlier starts too."""

    def __init__(self, folder: Path) -> None:
        """Read the folder, whose lock the caller holds. Raises StorageError where it cannot be written."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        clean_temporary(folder)
        self._lock = threading.Lock()
        self._all = {result.id: result for path in sorted(folder.iterdir()) if (result := _read(path)) is not None}

    def add(self, result: ResultView, made: Made, fps: float) -> None:
        """Keep a video: from now on it is there, whatever happens to this process. Raises StorageError."""
        with atomic_directory(self.folder / result.id) as folder:
            write_sample(folder, Path(_VIDEO).stem, made.frames, fps, made.about, ("mp4",))
            write_json(folder / _RESULT, result.model_dump(mode="json"))
        with self._lock:
            self._all[result.id] = result

    def newest(self) -> list[ResultView]:
        """All, the one that was finished last first."""
        with self._lock:
            return sorted(self._all.values(), key=lambda result: (result.finished, result.id), reverse=True)

    def get(self, name: str) -> ResultView | None:
        """The one of this id."""
        with self._lock:
            return self._all.get(name)

    def remove(self, name: str) -> ResultView | None:
        """Delete a video with its settings; None where there is none of this id."""
        with self._lock:
            result = self._all.pop(name, None)
        if result is not None:
            aside = self.folder / f"{name}{TEMPORARY_SUFFIX}"
            with suppress(FileNotFoundError):  # somebody removed it by hand
                (self.folder / name).replace(aside)  # gone at once; what a kill leaves is removed at the next start
                shutil.rmtree(aside)
        return result

    def video(self, name: str) -> Path | None:
        """Its file; None where there is none, or somebody removed it by hand."""
        file = self.folder / name / _VIDEO
        return file if self.get(name) is not None and file.is_file() else None


def _read(folder: Path) -> ResultView | None:
    """None where the folder is something else."""
    file = folder / _RESULT
    if not file.is_file() or not (folder / _VIDEO).is_file():
        return None
    try:
        result = ResultView.model_validate_json(file.read_bytes())
    except (ValidationError, OSError) as error:
        warning(f"{file}: not shown: {str(error).splitlines()[0]}")
        return None
    return result if result.id == folder.name else None
