"""Faults to inject into worker processes, which import this module."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from walt.ingest.clip_cache import SourceEntry, SourceFile, cut_sources
from walt.ingest.clip_rule import ClipRule

Cuts = Iterator[list[tuple[SourceEntry, bytes]]]


def hang_or_crash(digests: dict[str, str], rule: ClipRule, path: Path, sources: Sequence[SourceFile]) -> Cuts:
    """``cut_sources``, but files of these digests misbehave: ``a`` hangs, ``b`` crashes, ``c`` eats the memory."""
    match digests.get(sources[0].sha256) if sources else None:
        case "a":
            time.sleep(600)
        case "b":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "c":
            bytearray(1 << 40)
    return cut_sources(rule, path, sources)


def crash_at(name: str, rule: ClipRule, path: Path, sources: Sequence[SourceFile]) -> Cuts:
    """``cut_sources``, but it crashes at the file of this name; its copies may live."""
    if path.name == name:
        os.kill(os.getpid(), signal.SIGSEGV)
    return cut_sources(rule, path, sources)


def crash_at_second(seconds: float, rule: ClipRule, path: Path, sources: Sequence[SourceFile]) -> Cuts:
    """``cut_sources``, but it crashes at spans of ``a.mkv`` that begin there."""
    if path.name == "a.mkv" and any(source.span and source.span[0] == seconds for source in sources):
        os.kill(os.getpid(), signal.SIGSEGV)
    return cut_sources(rule, path, sources)


def cut_slowly(rule: ClipRule, path: Path, sources: Sequence[SourceFile]) -> Cuts:
    """``cut_sources``, but it takes a second longer."""
    time.sleep(1)
    return cut_sources(rule, path, sources)
