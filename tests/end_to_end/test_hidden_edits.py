"""A source edited in place, its size and time restored, is found by what people run: `walt prepare`, and then DVC."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.prefect_database import PrefectDatabase
from tests.support.project import copy_project, run
from tests.support.warm import Warm
from walt.core.digests import sha256_file
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.data.manifest import read_manifest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Path:
    """A project whose clips and captions are up to date, with a folder behind a link."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    warm.install(project)
    (project / "elsewhere").mkdir()
    run(project, "dvc", "init", "--no-scm", "--quiet")
    run(project, "walt", "init", "--recipe", "tiny", "--force")
    run(project, "walt", "prepare")
    (project / "data/shapes/linked").symlink_to(project / "elsewhere")
    run(project, "walt", "prepare")
    run(project, "dvc", "repro", "encode-text")
    return project


def edit_in_place(file: Path, old: bytes, new: bytes) -> None:
    """Other bytes, as many, in the same file; then its times as they were."""
    before, data = file.stat(), file.read_bytes()
    assert old in data
    with open(file, "r+b") as stream:
        stream.write(data.replace(old, new, 1))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert file.read_bytes() != data


def stages_run(project: Path) -> list[str]:
    output = run(project, "dvc", "repro", "encode-text")
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage ")]


def test_nothing_changed_is_nothing_to_do(project: Path) -> None:
    lock = (project / "dvc.lock").read_bytes()
    assert "DVC" not in run(project, "walt", "prepare")
    assert "up to date" in run(project, "dvc", "repro", "encode-text")
    assert (project / "dvc.lock").read_bytes() == lock


def test_prepare_then_dvc_remakes_what_depends_on_an_edited_video(project: Path) -> None:
    video = project / "data/shapes/videos/00003.mp4"
    known, lock = sha256_file(video), (project / "dvc.lock").read_bytes()
    edit_in_place(video, b"mdirappl", b"mdirAppl")
    assert stages_run(project) == [], "DVC alone does not see it"
    assert "videos/00003.mp4" in run(project, "walt", "prepare")
    assert stages_run(project) == ["ingest", "caption", "encode-text"]
    hashes = {row.source_sha256 for row in read_manifest(Paths(project).manifest)}
    assert sha256_file(video) in hashes
    assert known not in hashes
    assert read_json(project / "work/ingest/result.json")["decoded_now"] == 1
    assert (project / "dvc.lock").read_bytes() != lock, "the lock has the folder's new hash"


def test_a_file_that_only_looks_edited_is_read_and_makes_nothing_stale(project: Path) -> None:
    (project / "data/shapes/videos/00004.mp4").chmod(0o600)
    assert "DVC reads again" in run(project, "walt", "prepare")
    assert stages_run(project) == []


def test_the_flow_finds_an_edited_caption(project: Path, prefect_database: PrefectDatabase) -> None:
    """What ``make demo`` and every deployment run."""
    prefect_database.copy_to(project / ".prefect/prefect.db")
    edit_in_place(project / "data/shapes/captions.csv", b"background\n", b"backgrouND\n")
    output = run(project, "python", "-m", "flows.walt", "--target", "encode-text")
    assert [line.split()[-1] for line in output.splitlines() if line.startswith(("ingest ", "encode-text "))] == [
        "ran", "ran",
    ]  # fmt: skip
    prefect_database.keep(project / ".prefect/prefect.db")
    captions = [row.caption or "" for row in read_manifest(Paths(project).manifest)]
    assert any(caption.endswith("backgrouND") for caption in captions)


def test_what_comes_behind_a_link_to_a_folder_makes_ingest_stale(project: Path) -> None:
    """DVC does not look there."""
    video = (project / "data/shapes/videos/00003.mp4").read_bytes().replace(b"mdirAppl", b"mdirapPL")
    (project / "elsewhere/more.mp4").write_bytes(video)
    assert stages_run(project) == []
    assert "linked/more.mp4" in run(project, "walt", "prepare")
    assert "ingest" in run(project, "dvc", "status")
    assert stages_run(project)[0] == "ingest"
    assert read_json(project / "work/ingest/result.json")["rejects"] == {"no_caption": 1}
    assert "up to date" in run(project, "dvc", "repro", "encode-text")
