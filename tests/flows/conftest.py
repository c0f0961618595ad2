from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import processes
from tests.support.fake_project import make_project
from walt.core import environment


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One temporary server, with a database of its own, for all tests of flows."""
    from prefect.testing.utilities import prefect_test_harness  # takes seconds, in each process that collects tests

    environment.set_defaults()
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake project as the current folder, with its own ``walt`` command."""
    tools = make_project(tmp_path)
    monkeypatch.setattr(processes, "tools_folder", lambda: tools)
    monkeypatch.chdir(tmp_path)
    return tmp_path
