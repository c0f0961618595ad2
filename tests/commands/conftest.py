"""Projects that tests of several commands make videos with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sample_project import frames_project, sample_project


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of 5 frames."""
    return sample_project(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of 17 frames that were trained with frame prediction."""
    return frames_project(tmp_path_factory.mktemp("frames"))
