"""For the tests of ingest: the progress bars that it shows."""

from __future__ import annotations

from typing import Any

import pytest

from walt.core.log import ProgressBar
from walt.ingest import read_sources


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[ProgressBar]:
    """The bars that were shown while sources were read."""
    made: list[ProgressBar] = []

    def keep(*arguments: Any, **options: Any) -> ProgressBar:
        made.append(ProgressBar(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(read_sources, "ProgressBar", keep)
    return made
