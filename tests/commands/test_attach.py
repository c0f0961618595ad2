"""``walt attach``: a project whose latents and text stay on S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.s3 import Bucket
from tests.support.tiny_latents import write_latents
from tests.support.tiny_models import BASE
from walt.commands.attach import command
from walt.core import remote
from walt.core.errors import LockedError
from walt.core.paths import Paths
from walt.core.storage import lock
from walt.core.verified_files import CACHE_VARIABLE
from walt.data.latents import LatentBatches


def test_a_project_is_attached(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    write_latents(tmp_path / "there")
    for path in sorted((tmp_path / "there").rglob("*.*")):
        remote.upload(path, f"{bucket.url}/p/{path.relative_to(tmp_path / 'there')}")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    command(f"{bucket.url}/p")
    assert (
        f"fetched 5 tables; the tars of data/latents and data/text are read at {bucket.url}/p"
        in capsys.readouterr().out
    )
    assert LatentBatches(here, BASE.resolution, 4).batch(0)["latents"].shape[0] == 4
    with lock(Paths(here).work("encode-video") / "lock"), pytest.raises(LockedError):
        command(f"{bucket.url}/p")
