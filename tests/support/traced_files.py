"""Which of the project's files a piece of work runs through."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from walt.project.code_identity import changes_no_result

ROOT = Path(__file__).resolve().parents[2]


def files_run(work: Callable[[], Any]) -> set[str]:
    """Files under ``walt/`` of every function that ``work`` calls, in any thread; relative to the root.

    Those of ``walt.project.code_identity.CHANGES_NO_RESULT`` are left out.
    """
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
    files = {Path(file).relative_to(ROOT).as_posix() for file in seen if file.startswith(f"{ROOT}/walt/")}
    return {file for file in files if not changes_no_result(file)}
