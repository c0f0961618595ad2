"""Faults to inject into worker processes, which import this module."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from walt.data.cutting import ClipRule
from walt.data.ingestion import SourceEntry, SourceFile, cut_source


def hang_or_crash(rule: ClipRule, path: Path, source: SourceFile) -> tuple[SourceEntry, bytes]:
    """``cut_source``, but ``a.mp4`` hangs, ``b.mp4`` crashes and ``c.mp4`` eats the memory."""
    match path.name:
        case "a.mp4":
            time.sleep(600)
        case "b.mp4":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "c.mp4":
            bytearray(1 << 40)
    return cut_source(rule, path, source)


def cut_slowly(rule: ClipRule, path: Path, source: SourceFile) -> tuple[SourceEntry, bytes]:
    """``cut_source``, but it takes a second longer."""
    time.sleep(1)
    return cut_source(rule, path, source)
