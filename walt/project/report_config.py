"""Section ``report``."""

from __future__ import annotations

from pydantic import PositiveInt

from walt.core.config import Section


class ReportConfig(Section):
    """The ``report`` section."""

    title: str
    clips: PositiveInt
    """Dataset clips shown."""
    samples: PositiveInt
    """Generated videos shown."""
