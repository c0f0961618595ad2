"""``ingest`` is killed, runs out of disk, or is run twice: nothing half-made is believed, a rerun makes it whole."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.ingest_project import make_project, outputs
from tests.support.interrupted_ingest import TRIALS, at_each_write, run
from tests.support.places import Place, only_here
from walt.core.errors import CorruptArtifactError, LockedError, StorageError
from walt.core.paths import Paths
from walt.core.storage import lock
from walt.data.clip_table import read_clip_rows
from walt.data.manifest import read_clip_rejects, read_manifest
from walt.data.shards import ShardReader
from walt.project.recipes import recipe_text
from walt.project.registry import get_stage
from walt.project.runner import run_stage
from walt.stages import ingest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project before its first ingest."""
    root = tmp_path_factory.mktemp("template")
    make_project(root)
    return root


@pytest.fixture(scope="module")
def undisturbed(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("undisturbed") / "root"
    shutil.copytree(template, root)
    run(root)
    return outputs(root)


@pytest.fixture
def root(template: Path, tmp_path: Path, place: Place) -> Path:
    return place.settle(Path(shutil.copytree(template, tmp_path / "root")))


@pytest.mark.slow
@pytest.mark.parametrize("place", TRIALS, indirect=True)
def test_kill_9_at_random_writes_until_one_run_succeeds(
    template: Path, undisturbed: dict[str, str], tmp_path: Path, place: Place
) -> None:
    where = Place(place.name, place.bucket)
    script = (
        f"from pathlib import Path; from tests.support.interrupted_ingest import *; "
        f"killed_again_and_again({template!r}, {tmp_path!r}, {where!r}, 5)"
    )
    script = script.replace("PosixPath", "Path")
    with open(tmp_path / "out", "w") as out, open(tmp_path / "err", "w") as err:
        child = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=out, stderr=err)
        if place.name == "s3-faults":
            assert place.misbehave_until(lambda: child.poll() is not None) >= 3
    assert child.wait() == 0, (tmp_path / "err").read_text()
    result = json.loads((tmp_path / "out").read_text().splitlines()[-1])
    assert result["writes"] > (200 if place.bucket else 40)
    assert result["kills"] >= (3 if place.bucket else 5)
    assert all(made == undisturbed for made in result["made"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "number"),
    [*(("local", number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)), ("s3", errno.ENOSPC)],
    indirect=["place"],
)
def test_a_disk_that_fails_ends_the_stage_and_a_rerun_continues(
    number: int, root: Path, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_from(moment: int) -> Callable[[int], None]:
        def act(count: int) -> None:
            if count >= moment:
                raise OSError(number, os.strerror(number))

        return act

    for moment in (1, 3, 12, 25, 40):
        with pytest.raises(StorageError, match=os.strerror(number)) as caught:
            at_each_write(root, fail_from(moment), monkeypatch)
        assert caught.value.exit_status == 4
        assert "\n" not in str(caught.value)
    run(root)
    assert outputs(root) == undisturbed


_FULL = """
set -e
mkdir -p {root}/data {root}/work
mount -t tmpfs -o size=48k tmpfs {root}/data
status=0; {python} -c "$RUN" || status=$?
test $status = 4
mount -o remount,size=100m {root}/data
{python} -c "$RUN"
cp -r {root}/data {root}/saved
mount -o remount,ro {root}/data
rm -r {root}/work
status=0; {python} -c "$RUN" || status=$?
test $status = 4
test ! -e {root}/work
"""
_RUN = """
import sys
from pathlib import Path
from tests.support.interrupted_ingest import run
from walt.core.errors import WaltError
try:
    run(Path("{root}"))
except WaltError as error:
    print(error)
    sys.exit(error.exit_status)
"""


@pytest.mark.slow
@only_here
def test_a_real_disk_that_is_full_and_one_that_is_read_only(root: Path, undisturbed: dict[str, str]) -> None:
    """In a mount namespace of its own, which ends with the test."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this system does not allow mount namespaces")
    script = _FULL.format(root=root, python=sys.executable)
    environment = os.environ | {"RUN": _RUN.format(root=root)}
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No space left on device" in done.stdout
    assert f"{root}/data/clips: cannot be written" in done.stdout or f"{root}/data: cannot be written" in done.stdout
    saved = {name.replace("saved", "data", 1): digest for name, digest in outputs_of(root, "saved").items()}
    assert saved == undisturbed


def outputs_of(root: Path, folder: str) -> dict[str, str]:
    (root / "data").rmdir()
    (root / folder).rename(root / "data")
    return outputs(root)


def test_a_place_that_cannot_be_written_is_found_before_any_work(root: Path) -> None:
    (root / "data").write_text("a file is in the way")
    with pytest.raises(StorageError, match="data: cannot be written") as caught:
        run(root)
    assert caught.value.exit_status == 4
    assert not (root / "work").exists()


@pytest.mark.slow
@only_here
def test_any_finished_file_that_was_cut_short_is_found_by_its_reader(root: Path) -> None:
    run(root)
    paths = Paths(root)
    readers: dict[str, Callable[[], object]] = {
        "clips.parquet": lambda: read_clip_rows(paths.clips),
        **{path.name: lambda: read_manifest(paths.manifest) for path in paths.manifest.iterdir()},
        "rejects.parquet": lambda: ingest.read_sources(paths.rejects),
        "clip_rejects.parquet": lambda: read_clip_rejects(paths.clip_rejects),
    }
    chance = random.Random(2)
    files = sorted(path for path in paths.clips.parent.rglob("*") if path.is_file())
    assert len(files) > 15
    assert len(list(paths.manifest.iterdir())) > 3
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole[: chance.randrange(len(whole))])
        with pytest.raises(CorruptArtifactError, match=path.name):
            readers.get(path.name, lambda path=path: ShardReader(path.parent))()
        path.write_bytes(whole)


@only_here
def test_a_second_run_at_the_same_time_is_refused_with_the_firsts_pid(root: Path) -> None:
    (root / "params.yaml").write_text(recipe_text("tiny"))
    with lock(Paths(root).work("ingest") / "lock"), pytest.raises(LockedError, match=str(os.getpid())) as caught:
        run_stage(get_stage("ingest"), root)
    assert caught.value.exit_status == 6
    assert not (root / "data").exists()


@pytest.mark.slow
@only_here
def test_sources_that_are_gone_are_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.support.ingest_project import CAPTIONS, add

    assert run(root)["gone"] == 0
    for name in ("a.mp4", "still.png"):
        (root / "videos" / name).unlink()
    add(root, {name: text for name, text in CAPTIONS.items() if name not in ("a.mp4", "still.png")})
    capsys.readouterr()
    assert run(root)["gone"] == 2
    assert "2 sources are gone since the last run: a.mp4, still.png" in capsys.readouterr().out
    assert run(root)["gone"] == 0
