"""How long a stage that was told to stop needs: whoever stops it waits so long before it kills it.

A training writes a checkpoint when SIGTERM comes. How long that takes is known from its last one, and kept beside its
checkpoints in ``work/<stage>/stopping.json``, where ``flows/guard.py`` reads it too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from walt.core.storage import read_json, write_json

STOPPING_FILE = "stopping.json"
LEAST_SECONDS = 60.0
"""For a stage that has not said how long it takes."""


def note_checkpoint_seconds(work: Path, seconds: float) -> None:
    """Keep that the last checkpoint took so long: twice that is what stopping may take, since one may be half written
    when the signal comes. Raises StorageError."""
    write_json(work / STOPPING_FILE, {"seconds": max(LEAST_SECONDS, 2.0 * seconds)})


def seconds_to_stop(work: Path) -> float:
    """How long to wait after SIGTERM for the stage that works in ``work``: at least ``LEAST_SECONDS``."""
    try:
        noted: Any = read_json(work / STOPPING_FILE)["seconds"]
        return max(LEAST_SECONDS, float(noted))
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or not whole
        return LEAST_SECONDS
