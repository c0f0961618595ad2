"""The alias goes back for a whole release, and what a release was made of can be fetched."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.release import champions, promoted
from tests.support.tracking import CONFIG, tag_taken_down
from walt.commands import release, rollback
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.project.recipes import recipe_text
from walt.tracking import provenance, server
from walt.tracking.given_release import given_release
from walt.tracking.release_record import fetch_release
from walt.tracking.rollback import roll_back
from walt.tracking.unneeded import fetch_locks

GIT = ("git", "-c", "user.name=walt", "-c", "user.email=walt@localhost", "-c", "commit.gpgsign=false")
Model = Callable[[str, bytes], Path]


@pytest.mark.slow
def test_all_models_go_back_and_the_one_that_lost_is_not_promoted_again(root: Path, model: Model) -> None:
    promoted(root, {"base": model("base", b"1"), "autoencoder": model("autoencoder", b"1")}, 40)
    second = {"base": model("base", b"2"), "sr-2x": model("sr-2x", b"2"), "autoencoder": model("autoencoder", b"2")}
    assert "becomes champion" in promoted(root, second, 60)
    assert champions(root) == {"base": "2", "sr-2x": "1", "autoencoder": "2"}

    said = roll_back(CONFIG, "champion", root, "its videos flicker")
    assert said == "walt-base version 1 is champion again, with autoencoder 1: its videos flicker."
    assert champions(root) == {"base": "1", "autoencoder": "1"}, "super-resolution was not part of it"

    again = promoted(root, second, 60)
    assert again == (
        "walt-base version 2 does not become champion: `walt rollback` took that from it (its videos flicker)."
    )
    assert champions(root) == {"base": "1", "autoencoder": "1"}


@pytest.mark.slow
def test_a_release_that_saw_what_was_taken_down_does_not_get_the_alias_back(root: Path, model: Model) -> None:
    promoted(root, {"base": model("base", b"1"), "autoencoder": model("autoencoder", b"1")}, 10)
    promoted(root, {"base": model("base", b"2"), "autoencoder": model("autoencoder", b"2")}, 60)
    tag_taken_down(root, "walt-autoencoder", "1")
    said = r"walt-autoencoder version 1 was made with what was taken down \(abc, def\); `dvc repro` and"
    with pytest.raises(ConfigurationError, match=said):
        roll_back(CONFIG, "champion", root, "its videos flicker")
    assert champions(root) == {"base": "2", "autoencoder": "2"}


@pytest.mark.slow
def test_it_goes_back_step_by_step_to_the_first(root: Path, model: Model) -> None:
    for number, matches in ((1, 10), (2, 30), (3, 60)):
        promoted(root, {"base": model("base", b"%d" % number)}, matches)
    roll_back(CONFIG, "champion", root, "a")
    roll_back(CONFIG, "champion", root, "b")
    assert champions(root) == {"base": "1"}
    with pytest.raises(ConfigurationError, match="version 1 was the first champion: there is no release to go back to"):
        roll_back(CONFIG, "champion", root, "c")
    assert champions(root) == {"base": "1"}
    promoted(root, {"base": model("base", b"4")}, 64)
    roll_back(CONFIG, "champion", root, "d")
    assert champions(root) == {"base": "1"}, "the one before 4, not the number before"


@pytest.mark.slow
def test_it_refuses_where_there_is_nothing_to_go_back_to(root: Path, model: Model) -> None:
    with pytest.raises(ConfigurationError, match="no version of walt-base is champion"):
        roll_back(CONFIG, "champion", root, "a")
    promoted(root, {"base": model("base", b"1")}, 10)
    promoted(root, {"base": model("base", b"2")}, 60)
    server.connect(CONFIG, root).client.delete_model_version("walt-base", "1")
    with pytest.raises(ConfigurationError, match="walt-base version 1, which was champion before, is gone"):
        roll_back(CONFIG, "champion", root, "a")
    assert champions(root) == {"base": "2"}


@pytest.mark.slow
def test_of_a_promotion_that_broke_off_the_release_before_is_still_known(
    root: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(root, {"base": model("base", b"1"), "autoencoder": model("autoencoder", b"1")}, 10)
    second = {"base": model("base", b"2"), "autoencoder": model("autoencoder", b"2")}
    from mlflow import MlflowClient

    move = MlflowClient.set_registered_model_alias

    def breaks_off(self: MlflowClient, name: str, alias: str, version: str) -> None:
        if name == "walt-base":
            raise KeyboardInterrupt
        move(self, name, alias, version)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", breaks_off)
        with pytest.raises(KeyboardInterrupt):
            promoted(root, second, 60)
    assert champions(root) == {"base": "1", "autoencoder": "2"}
    promoted(root, second, 60)
    roll_back(CONFIG, "champion", root, "a")
    assert champions(root) == {"base": "1", "autoencoder": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("last", ["set_registered_model_alias", "delete_registered_model_tag"])
def test_one_that_broke_off_goes_no_further_when_it_is_done_again(
    root: Path, model: Model, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """Behind the last alias that moves, or before the last thing that is written."""
    for number, matches in ((1, 10), (2, 30), (3, 60)):
        promoted(root, {"base": model("base", b"%d" % number)}, matches)
    from mlflow import MlflowClient

    whole = getattr(MlflowClient, last)

    def breaks_off(self: MlflowClient, *arguments: str) -> None:
        if last == "set_registered_model_alias":
            whole(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, last, breaks_off)
        with pytest.raises(KeyboardInterrupt):
            roll_back(CONFIG, "champion", root, "a")
    assert champions(root) == {"base": "2"}
    assert roll_back(CONFIG, "champion", root, "a").startswith("walt-base version 2 is champion again")
    assert champions(root) == {"base": "2"}
    roll_back(CONFIG, "champion", root, "b")
    assert champions(root) == {"base": "1"}, "that one was a step of its own"


@pytest.mark.slow
def test_releases_that_share_the_base_are_told_apart(root: Path, model: Model, tmp_path: Path) -> None:
    """Only super-resolution is new: each has its own settings, figures and way back, and is refused by itself."""
    releases = []
    for number, (matches, said) in enumerate(((10, "it is the first"), (40, "against 0.1562")), 1):
        (root / "dvc.lock").write_text(f"stages: {number}")
        releases.append({"base": model("base", b"1"), "sr-2x": model("sr-2x", b"%d" % number)})
        assert said in promoted(root, releases[-1], matches)
    assert "version 1 is champion again, with sr-2x 1: a." in roll_back(CONFIG, "champion", root, "a")
    connection = server.connect(CONFIG, root)
    fetch_release(connection, "walt-base", "1", tmp_path / "first", champions(root))
    assert (tmp_path / "first/dvc.lock").read_text() == "stages: 1"
    given = given_release(CONFIG, root, "models:/walt-base@champion", tmp_path / "given")
    assert (given.folders["sr-2x"] / "model.safetensors").read_bytes() == b"1", "what `walt sample` takes"
    assert "`walt rollback` took that from it (a)" in promoted(root, releases[1], 40)

    third = {"base": model("base", b"1"), "sr-2x": model("sr-2x", b"3")}
    (root / "dvc.lock").write_text("stages: 3")
    assert "against 0.1562" in promoted(root, third, 30), "not against the second"
    assert champions(root) == {"base": "1", "sr-2x": "3"}
    (tmp_path / "locks").mkdir()
    assert {file.read_text()[-1] for file in fetch_locks(connection, tmp_path / "locks")} == {"1", "2", "3"}

    roll_back(CONFIG, "champion", root, "c")
    assert champions(root) == {"base": "1", "sr-2x": "1"}, "the one before the third"
    with pytest.raises(ConfigurationError, match="version 1 was the first champion"):
        roll_back(CONFIG, "champion", root, "d")
    for lost, reason in ((third, "c"), (releases[1], "a")):
        model("sr-2x", {"c": b"3", "a": b"2"}[reason])
        assert f"took that from it ({reason})" in promoted(root, lost, 60)


@pytest.mark.slow
def test_broken_off_at_any_write_and_done_again_the_end_is_the_same(
    root: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of releases that share the base, so that its version alone does not say how far it came; every third write."""
    names = ("base", "sr-2x", "autoencoder")
    promoted(root, {name: model(name, b"first") for name in names}, 10)
    first = champions(root)
    for number in range(1, 100, 3):
        weights = b"%d" % number
        of = {name: b"first" if name == "base" else weights for name in names}
        release = {name: model(name, of[name]) for name in names}
        broken = _broken_off(partial(promoted, root, release, 60), number, monkeypatch)
        promoted(root, release, 60)
        second = champions(root)
        assert all(second[name] != first[name] for name in names if of[name] == weights)
        if _broken_off(partial(roll_back, CONFIG, "champion", root, "a"), number, monkeypatch):
            roll_back(CONFIG, "champion", root, "a")
        assert champions(root) == first, f"broken off before write {number}"
        if not broken:
            break
    assert 5 < number < 97


def _broken_off(work: Callable[[], object], writes: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether ``work`` was ended before its write to the registry of this number, from 0."""
    from mlflow import MlflowClient

    done = 0

    def ending(write: Callable[..., object]) -> Callable[..., object]:
        def one(*arguments: object, **named: object) -> object:
            nonlocal done
            if done == writes:
                raise KeyboardInterrupt
            done += 1
            return write(*arguments, **named)

        return one

    with monkeypatch.context() as patch:
        for name in ("set_model_version_tag", "set_registered_model_alias", "delete_registered_model_alias"):
            patch.setattr(MlflowClient, name, ending(getattr(MlflowClient, name)))
        try:
            work()
        except KeyboardInterrupt:
            return True
    return False


@pytest.mark.slow
def test_what_a_release_was_made_of_is_fetched_without_passwords(root: Path, model: Model, tmp_path: Path) -> None:
    settings = "tracking:\n  uri: postgresql://{}@host/db # here\ndataset:\n  descriptor: own/mine.yaml\n"
    (root / "params.yaml").write_text(settings.format("me:secret"))
    (root / "own").mkdir()
    (root / "own/mine.yaml").write_text("path: https://there/videos?X-Amz-Signature=secret\n")
    (root / "dvc.lock").write_text("stages: {ingest: {params: {params.yaml: {uri: s3://me:secret@there}}}}\n")
    Paths(root).latents.mkdir(parents=True)
    (Paths(root).latents / "clips.parquet").write_bytes(b"the table")
    promoted(root, {"base": model("base", b"1")}, 10)
    (root / "params.yaml").write_text("seed: 4\n")
    promoted(root, {"base": model("base", b"2")}, 60)
    connection = server.connect(CONFIG, root)
    first, present = tmp_path / "first", tmp_path / "present"
    fetch_release(connection, "walt-base", "1", first)
    assert (first / "params.yaml").read_text() == settings.format("***")
    assert (first / "descriptor.yaml").read_text() == "path: https://there/videos?X-Amz-Signature=***\n"
    lock = "stages: {ingest: {params: {params.yaml: {uri: s3://***@there}}}}\n"
    assert (first / "dvc.lock").read_text() == lock
    assert (first / "clips.parquet").read_bytes() == b"the table"
    second = fetch_release(connection, "walt-base", "2", present)
    assert second.previous == {"base": "1"}
    assert not second.uncommitted, "there is no repository"
    assert (present / "params.yaml").read_text() == "seed: 4\n"
    assert read_json(present / "release.json")["models"] == {"base": "2"}


def test_what_the_commit_does_not_hold_is_named_except_what_is_kept(
    root: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "code.py").write_text("first")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "code.py"], cwd=root, check=True)
    subprocess.run([*GIT, "commit", "-q", "-m", "first"], cwd=root, check=True)
    (root / ".gitignore").write_text("*\n!*.py\n!*.yaml\n")
    (root / "params.yaml").write_text(recipe_text("tiny"))
    assert provenance.uncommitted(root) == ["params.yaml"]
    (root / "code.py").write_text("second")
    (root / "new.py").touch()
    (root / "staged.py").touch()
    subprocess.run(["git", "add", "staged.py"], cwd=root, check=True)
    promoted(root, {"base": model("base", b"1")}, 10)
    monkeypatch.chdir(root)
    release.command(tmp_path / "kept")
    said = capsys.readouterr()
    assert "changed and not committed then, so not as they were: code.py, new.py, staged.py\n" in said.out + said.err
    for number in range(11):
        (root / f"old{number:02}.py").touch()
    promoted(root, {"base": model("base", b"2")}, 60)
    release.command(tmp_path / "many")
    said = capsys.readouterr()
    first = "code.py, new.py, old00.py, old01.py, old02.py, old03.py, old04.py, old05.py, old06.py, old07.py"
    assert f"so not as they were: {first}, 4 more\n" in said.out + said.err


def test_a_version_that_was_never_promoted_has_nothing_to_fetch(root: Path, model: Model, tmp_path: Path) -> None:
    promoted(root, {"base": model("base", b"1")}, 60)
    promoted(root, {"base": model("base", b"2")}, 10)
    with pytest.raises(ConfigurationError, match="walt-base version 2: it was never promoted, so nothing was kept"):
        fetch_release(server.connect(CONFIG, root), "walt-base", "2", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_both_commands_say_what_they_did(
    root: Path, model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "params.yaml").write_text(recipe_text("tiny"))
    monkeypatch.chdir(root)
    promoted(root, {"base": model("base", b"1")}, 10)
    promoted(root, {"base": model("base", b"2")}, 60)
    release.command(Path("one"), None, "1")
    assert "walt-base version 1: params.yaml, release.json are in one" in capsys.readouterr().out
    addresses = {"base/1": 1, "walt-base@champion": 2, "models:/walt-base/1": 1, "champion": 2, None: 2}
    for place, (address, version) in enumerate(addresses.items()):
        release.command(Path(f"other-{place}"), None, address)
        assert f"walt-base version {version}: params.yaml" in capsys.readouterr().out, address
    for wrong, said in {
        "7": "models:/walt-base/7: the registry has no such model version; of walt-base it has 1",
        "sr-2x/1": "models:/walt-sr-2x/1: a release is named by its base model: walt-base@ALIAS or walt-base/VERSION",
    }.items():
        with pytest.raises(ConfigurationError, match=said):
            release.command(Path("wrong"), None, wrong)
    with pytest.raises(ConfigurationError, match="one: it is there already"):
        release.command(Path("one"))
    with pytest.raises(ConfigurationError, match="say --out FOLDER for the files, or --working-copy FOLDER"):
        release.command()
    rollback.command("a reason")
    assert "walt-base version 1 is champion again, with no other model: a reason." in capsys.readouterr().out
