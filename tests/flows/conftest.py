from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import processes
from tests.support.fake_project import make_project, tools_of
from tests.support.prefect_database import PrefectDatabase
from tests.support.waiting import SECONDS
from tests.support.warm import WarmCommand
from walt.core import environment


@pytest.fixture(scope="package")
def prefect_server(prefect_database: PrefectDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One temporary server, with a database of its own, for all tests of flows; it works all the time, also unasked."""
    from prefect.testing import utilities  # takes seconds, in each process that collects tests

    environment.set_defaults()
    database = tmp_path_factory.mktemp("harness") / "prefect-test.db"
    prefect_database.copy_to(database)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utilities, "mkdtemp", lambda: str(database.parent))
        with utilities.prefect_test_harness(server_startup_timeout=int(SECONDS)):
            assert database.is_file(), "it is elsewhere in this version of Prefect"
            prefect_database.keep(database)
            yield


@pytest.fixture(scope="session")
def fake_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be copied."""
    root = tmp_path_factory.mktemp("fake")
    make_project(root)
    return root


@pytest.fixture
def project(fake_project: Path, warm_dvc: WarmCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake project as the current folder, with its own ``walt`` command; its ``dvc`` starts with all loaded."""
    shutil.copytree(fake_project, tmp_path, symlinks=True, dirs_exist_ok=True)
    tools = tools_of(tmp_path)
    warm_dvc.write(tools)
    monkeypatch.setattr(processes, "tools_folder", lambda: tools)
    monkeypatch.chdir(tmp_path)
    return tmp_path
