"""Faults to inject into worker processes, which import this module."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from walt.ingest.clip_cache import SourceEntry, SourceFile, cut_source
from walt.ingest.clip_rule import ClipRule


def hang_or_crash(digests: dict[str, str], rule: ClipRule, path: Path, source: SourceFile) -> tuple[SourceEntry, bytes]:
    """``cut_source``, but the files with these digests misbehave: ``a`` hangs, ``b`` crashes, ``c`` eats the memory."""
    match digests.get(source.sha256):
        case "a":
            time.sleep(600)
        case "b":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "c":
            bytearray(1 << 40)
    return cut_source(rule, path, source)


def crash_at(name: str, rule: ClipRule, path: Path, source: SourceFile) -> tuple[SourceEntry, bytes]:
    """``cut_source``, but it crashes at the file of this name; its copies may live."""
    if path.name == name:
        os.kill(os.getpid(), signal.SIGSEGV)
    return cut_source(rule, path, source)


def crash_at_second(seconds: float, rule: ClipRule, path: Path, source: SourceFile) -> tuple[SourceEntry, bytes]:
    """``cut_source``, but it crashes at spans of ``a.mkv`` that begin there."""
    if path.name == "a.mkv" and source.span and source.span[0] == seconds:
        os.kill(os.getpid(), signal.SIGSEGV)
    return cut_source(rule, path, source)


def cut_slowly(rule: ClipRule, path: Path, source: SourceFile) -> tuple[SourceEntry, bytes]:
    """``cut_source``, but it takes a second longer."""
    time.sleep(1)
    return cut_source(rule, path, source)
