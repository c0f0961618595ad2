"""Sections that belong to a stage alone: ``encode_video`` and ``report``."""

from __future__ import annotations

from pydantic import PositiveInt

from walt.core.config import Section


class EncodeVideoConfig(Section):
    """The ``encode_video`` section."""

    batch_size: PositiveInt


class ReportConfig(Section):
    """The ``report`` section."""

    title: str
    clips: PositiveInt
    """Dataset clips shown."""
    samples: PositiveInt
    """Generated videos shown."""
