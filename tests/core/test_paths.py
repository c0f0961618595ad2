"""Where files are that a person named, also for a user without a home folder."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import NoReturn

import pytest

from walt.core.errors import StorageError
from walt.core.paths import located
from walt.core.verified_files import CACHE_VARIABLE, cache_folder
from walt.tracking.openlineage import is_asked_for


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is a number that has no name there."""

    def unknown(number: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", CACHE_VARIABLE, *(name for name in os.environ if "OPENLINEAGE" in name)):
        monkeypatch.delenv(name, raising=False)


def test_a_tilde_is_the_home_folder_and_what_is_no_user_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somebody")
    assert located(tmp_path, "~/t5") == Path("/somebody/t5")
    assert located(tmp_path, "/a/t5") == Path("/a/t5")
    assert located(tmp_path, "t5") == tmp_path / "t5"
    assert located(tmp_path, "~no-such-user/t5") == tmp_path / "~no-such-user/t5"


@pytest.mark.usefixtures("homeless")
def test_who_has_no_home_folder_is_told_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert located(tmp_path, "~/t5") == tmp_path / "~/t5"
    assert not is_asked_for()
    with pytest.raises(StorageError, match=r"^this user has no home folder: set WALT_CACHE to a folder") as caught:
        cache_folder()
    assert caught.value.exit_status == 4
    monkeypatch.setenv(CACHE_VARIABLE, "/cache")
    assert cache_folder() == Path("/cache")
