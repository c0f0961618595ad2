"""``unshare -rm python -m tests.support.small_disk FOLDER``: the tiny training on a disk that runs full, then on one
that becomes read-only, as they are: root may not write there either. They are mounted in a namespace that ends with it.

Prints, as JSON, what each start of the training said and which checkpoints there were after it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.tiny_loop import assert_same, loop_config, run
from tests.support.waiting import SECONDS
from walt.core.errors import StorageError
from walt.training.loop import TrainingResult
from walt.training.set_aside import checkpoints

CONFIG = loop_config(keep_checkpoints=30)


def mount(folder: Path, options: str) -> bool:
    """Mount memory at a folder, or mount it anew with other options; whether that was possible."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0


def failed(work: Path, before: Callable[[int], None] = lambda step: None) -> dict[str, Any]:
    """Start the training, which must end with an error of storage."""
    try:
        run(work, CONFIG, before)
    except StorageError as error:
        names = [folder.name for folder in checkpoints(work)]
        return {"said": str(error), "status": error.exit_status, "checkpoints": names}
    raise AssertionError("it ended well")


def on_a_full_disk(work: Path, undisturbed: TrainingResult) -> list[dict[str, Any]]:
    """Two starts while it is full; with more room the next one ends in the same bits."""
    assert mount(work, "size=128k")
    found = [failed(work), failed(work)]
    assert mount(work, "remount,size=16m")
    assert_same(run(work, CONFIG), undisturbed)
    return found


def on_a_disk_that_becomes_read_only(work: Path, undisturbed: TrainingResult) -> list[dict[str, Any]]:
    """As file systems do that have found an error; a start after it, and one when it can be written again."""
    assert mount(work, "size=16m")

    def close(step: int) -> None:
        deadline = time.monotonic() + SECONDS
        while step == 5 and not mount(work, "remount,ro"):  # a file is being written at this moment
            assert time.monotonic() < deadline, "it cannot be made read-only"
            time.sleep(0.001)

    found = [failed(work, close), failed(work)]
    assert mount(work, "remount,rw")
    assert_same(run(work, CONFIG), undisturbed)
    return found


if __name__ == "__main__":
    root = Path(sys.argv[1])
    calm = run(root / "calm", CONFIG)
    print(json.dumps([on_a_full_disk(root / "a", calm), on_a_disk_that_becomes_read_only(root / "b", calm)]))
