"""Prefect's database as a server leaves it when it has set it up, which takes three seconds of a processor.

The first server that tests start does that; its database is kept, and later servers, also those of other processes of
the same test run, begin with copies.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.memory_folder import folder_of_run


@dataclass(frozen=True)
class PrefectDatabase:
    """Where it is kept for all processes of the test run."""

    kept: Path

    def copy_to(self, target: Path) -> None:
        """Put it at ``target``, if a server has set one up already."""
        if self.kept.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.kept, target)

    def keep(self, database: Path) -> None:
        """Keep that of a server that answers."""
        if self.kept.is_file():
            return
        own = self.kept.with_name(f"{self.kept.name}.{os.getpid()}")
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(own)) as target:
            source.backup(target)
        own.replace(self.kept)


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> PrefectDatabase:
    """For servers that tests start."""
    return PrefectDatabase(folder_of_run(tmp_path_factory) / "prefect-set-up.db")
