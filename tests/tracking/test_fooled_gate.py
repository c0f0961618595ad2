"""Ways to fool the promotion: each is refused with a line that names the cause, decided again, or a tie."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.release import RULE
from tests.support.tracking import CONFIG
from walt.core.digests import sha256_json
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.figures import Figure
from walt.core.left_out import leave_out
from walt.core.own_digest import write_json_with_digest
from walt.core.paths import Paths
from walt.core.storage import read_json, write_json
from walt.evaluation.resampling import share_figure
from walt.tracking import server
from walt.tracking.measured import MEASURED_TAG
from walt.tracking.models import _Champion, promote, promote_newest
from walt.tracking.releases import release_digests
from walt.tracking.runs import start_run

Model = Callable[[str, bytes], Path]
NAMES = ("base", "autoencoder", "text-encoder")


def shares(matches: int, on: str = "first") -> Figure:
    """So many of 64 videos match."""
    return share_figure([place < matches for place in range(64)], {"prompts and seeds": on})


def evaluation(folders: Mapping[str, Path], figure: Figure) -> dict[str, Any]:
    return {"models": release_digests(folders), "figures": {RULE.metric: figure.as_json()}}


def never(_: Mapping[str, Path]) -> Any:
    raise AssertionError("nothing has to be measured")


def promoted(root: Path, folders: dict[str, Path], figure: Figure, measure: Any = never) -> str:
    return promote(CONFIG, RULE, root, folders, evaluation(folders, figure), measure)


def champion(root: Path) -> str:
    return str(server.connect(CONFIG, root).client.get_model_version_by_alias("walt-base", "champion").version)


def test_an_evaluation_that_was_edited_is_not_believed(root: Path, model: Model) -> None:
    folders = {name: model(name, b"1") for name in NAMES}
    for folder in (Paths(root).aspect, Paths(root).sr_2x, Paths(root).sr_4x):
        leave_out(folder, "x")
    place = Paths(root).evaluation
    write_json_with_digest(place, evaluation(folders, shares(40)))
    edited = read_json(place)
    edited["figures"][RULE.metric]["value"] = 1.0
    write_json(place, edited)
    with pytest.raises(CorruptArtifactError, match=r"evaluation\.json: differs from its own digest"):
        promote_newest(CONFIG, RULE, root, never)
    del edited["sha256"]
    write_json(place, edited)
    with pytest.raises(ConfigurationError, match=r"evaluation\.json: it has no digest: an earlier version made it"):
        promote_newest(CONFIG, RULE, root, never)
    assert server.connect(CONFIG, root).client.search_registered_models() == []


def test_an_evaluation_that_was_edited_with_its_digest_is_not_believed(
    root: Path, model: Model, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """MLflow has the digest of the one that was made."""
    folders = {name: model(name, b"1") for name in NAMES}
    for folder in (Paths(root).aspect, Paths(root).sr_2x, Paths(root).sr_4x):
        leave_out(folder, "x")
    place, true = Paths(root).evaluation, evaluation(folders, shares(40))
    samples = tmp_path_factory.mktemp("samples")
    with start_run(CONFIG, root, "evaluate", {}, {}) as run:
        run.log_release(true["models"], {}, {RULE.metric: (0.6, "0.6", "first")}, samples, sha256_json(true))
    write_json_with_digest(place, evaluation(folders, shares(64)))
    with pytest.raises(ConfigurationError, match=r"evaluation\.json: it is none of the evaluations of these models"):
        promote_newest(CONFIG, RULE, root, never)
    assert server.connect(CONFIG, root).client.search_registered_models() == []
    write_json_with_digest(place, true)
    assert "version 1 becomes champion" in promote_newest(CONFIG, RULE, root, never)


def test_weights_that_are_replaced_while_it_is_decided_are_refused(
    root: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a training that ends meanwhile: what was evaluated was looked at a moment before."""
    folders, find = {"base": model("base", b"evaluated")}, server.find_version
    found = evaluation(folders, shares(60))

    def replaced(*arguments: Any) -> str | None:
        model("base", b"of a training that ended")
        return find(*arguments)

    monkeypatch.setattr(server, "find_version", replaced)
    with pytest.raises(ConfigurationError, match="base: it was replaced meanwhile: run `dvc repro`"):
        promote(CONFIG, RULE, root, folders, found, never)
    aliases = server.connect(CONFIG, root).client.get_registered_model("walt-base").aliases
    assert not aliases


@pytest.mark.slow
def test_the_champions_figures_that_were_edited_in_mlflow_are_measured_again(root: Path, model: Model) -> None:
    promoted(root, {"base": model("base", b"1")}, shares(60))
    client = server.connect(CONFIG, root).client
    kept = json.loads(client.get_model_version("walt-base", "1").tags[MEASURED_TAG])
    kept["figures"][RULE.metric] = shares(2).as_json()
    kept["models"]["autoencoder"] = "of another release"
    client.set_model_version_tag("walt-base", "1", MEASURED_TAG, json.dumps(kept))
    said = promoted(root, {"base": model("base", b"2")}, shares(40), lambda folders: evaluation(folders, shares(60)))
    assert "does not become champion" in said
    assert f"against {shares(60)} of version 1" in said
    assert champion(root) == "1"


@pytest.mark.parametrize("text", ["", "not JSON", "[1]", '{"models": "all", "figures": 3}', '{"sha256": "0"}'])
def test_a_tag_of_which_somebody_made_something_else_is_measured_again(text: str) -> None:
    """The release is then what has the alias."""

    def get_model_version(name: str, version: str) -> Any:
        return SimpleNamespace(tags={MEASURED_TAG: text, server.DIGEST_TAG: f"of {name} {version}"})

    connection: Any = SimpleNamespace(model_prefix="walt", client=SimpleNamespace(get_model_version=get_model_version))
    found = _Champion.find(connection, "champion", {"base": "3", "autoencoder": "1"}, "base")
    assert found == _Champion("walt-base", "3", {"base": "of walt-base 3", "autoencoder": "of walt-autoencoder 1"}, {})


@pytest.mark.slow
def test_an_alias_on_a_version_that_nobody_evaluated_is_named(root: Path, model: Model) -> None:
    """With the other models that have the alias it might make nothing but noise, and be beaten by anything."""
    promoted(root, {"base": model("base", b"1"), "autoencoder": model("autoencoder", b"1")}, shares(60))
    connection = server.connect(CONFIG, root)
    version = server.register(connection, None, model("base", b"other"), "base")
    connection.client.set_registered_model_alias("walt-base", "champion", version)
    release = {"base": model("base", b"3"), "autoencoder": model("autoencoder", b"1")}
    with pytest.raises(ConfigurationError, match="walt-base version 2 has the alias champion by hand: it was never"):
        promoted(root, release, shares(64))
    assert champion(root) == "2"


@pytest.mark.slow
def test_an_alias_that_moves_meanwhile_is_not_taken_unseen(root: Path, model: Model) -> None:
    """Another promotion ends while this one measures: what it promoted is to be beaten, not what was there before."""
    promoted(root, {"base": model("base", b"1")}, shares(20))

    def measure(folders: Mapping[str, Path]) -> dict[str, Any]:
        weights = (folders["base"] / "model.safetensors").read_bytes()
        if weights == b"1":
            other = root / "elsewhere"
            other.mkdir()
            (other / "model.safetensors").write_bytes(b"2")
            promoted(root, {"base": other}, shares(62))
            return evaluation(folders, shares(20, "second"))
        return evaluation(folders, shares(62, "second"))

    said = promoted(root, {"base": model("base", b"3")}, shares(50, "second"), measure)
    assert "does not become champion" in said
    assert f"{shares(50)} against {shares(62)} of version" in said
    assert champion(root) != "1"
    version = server.find_version(server.connect(CONFIG, root), "walt-base", server.folder_digest(root / "elsewhere"))
    assert champion(root) == version


@pytest.mark.slow
def test_the_champion_under_another_name_is_a_tie(root: Path, model: Model) -> None:
    """Other bytes beside the same weights are another version, and no better one."""
    promoted(root, {"base": model("base", b"1")}, shares(60))
    folder = model("base", b"1")
    (folder / "config.json").write_text('{"a": "remark"}')
    said = promoted(root, {"base": folder}, shares(60))
    assert "walt-base version 2 does not become champion" in said
    assert "not better by more than chance may give (gain +0, needed are 1.5 x" in said
