"""Which of the project's files a piece of work runs through."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

CARRIERS = {f"walt/{name}.py" for name in ("core/config", "core/log", "core/paths", "core/storage", "nn/device")}
"""Bytes, settings and messages pass through these; none of them decides what a result is."""


def files_run(work: Callable[[], Any]) -> set[str]:
    """Files under ``walt/`` of every function that ``work`` calls, in any thread; relative to the root."""
    seen: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            seen.add(frame.f_code.co_filename)

    before = sys.getprofile()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
        threading.setprofile(None)  # type: ignore[arg-type]
    return {Path(file).relative_to(ROOT).as_posix() for file in seen if file.startswith(f"{ROOT}/walt/")}


def files_of(modules: tuple[ModuleType, ...]) -> set[str]:
    """The modules' files, relative to the root."""
    return {Path(str(module.__file__)).relative_to(ROOT).as_posix() for module in modules}
