"""Promotion: the alias moves for a whole release, and only for a better one that was measured."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.tracking import CONFIG, tag_taken_down
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.figures import Figure
from walt.core.left_out import leave_out
from walt.core.own_digest import write_json_with_digest
from walt.core.paths import Paths
from walt.core.storage import write_json
from walt.evaluation.resampling import mean_figure, share_figure
from walt.tracking import server
from walt.tracking.measured import MEASURED_TAG
from walt.tracking.models import DECISION_TAG, promote, promote_newest
from walt.tracking.promotion import BetterBeyondChance
from walt.tracking.releases import METRIC_TAG, release_digests

Model = Callable[[str, bytes], Path]
RULE = BetterBeyondChance(
    rule="better_beyond_chance", alias="champion", metric="adherence/both", better="higher", margin=1.5, guards=(),
    floor=None,
)  # fmt: skip
LOSS = RULE.model_copy(update={"metric": "held_out_loss/base", "better": "lower"})
ON = {"prompts and seeds": "first"}


def shares(matches: int, on: Mapping[str, str] = ON) -> Figure:
    """So many of 64 videos match."""
    return share_figure([place < matches for place in range(64)], on)


def evaluation(folders: Mapping[str, Path], figure: Figure | int, rule: BetterBeyondChance = RULE) -> dict[str, Any]:
    figure = shares(figure) if isinstance(figure, int) else figure
    return {"models": release_digests(folders), "figures": {rule.metric: figure.as_json()}}


class Measure:
    """Takes the place of an evaluation of the release with the alias; notes what it is asked for."""

    def __init__(self, *figures: Figure, rule: BetterBeyondChance = RULE) -> None:
        self.figures, self.rule, self.asked = list(figures), rule, list[dict[str, bytes]]()

    def __call__(self, folders: Mapping[str, Path]) -> dict[str, Any]:
        self.asked.append({name: (folder / "model.safetensors").read_bytes() for name, folder in folders.items()})
        return evaluation(folders, self.figures.pop(0), self.rule)


def _promote(
    root: Path, folders: dict[str, Path], figure: Figure | int, measure: Measure | None = None,
    rule: BetterBeyondChance = RULE,
) -> str:  # fmt: skip
    return promote(CONFIG, rule, root, folders, evaluation(folders, figure, rule), measure or Measure())


def _champion(root: Path, name: str = "walt-base") -> str:
    return str(server.connect(CONFIG, root).client.get_model_version_by_alias(name, "champion").version)


def _tags(root: Path, version: str, name: str = "walt-base") -> dict[str, str]:
    return dict(server.connect(CONFIG, root).client.get_model_version(name, version).tags)


@pytest.mark.slow
def test_what_saw_a_source_that_was_taken_down_neither_takes_the_alias_nor_has_to_be_beaten(
    root: Path, model: Model
) -> None:
    _promote(root, {"base": model("base", b"1")}, 60)
    tag_taken_down(root, "walt-base", "1")
    second = {"base": model("base", b"2")}
    said = _promote(root, second, 40)
    assert said == (
        "walt-base version 2 becomes champion: walt-base version 1 was made with what was taken down (abc, def), "
        f"with adherence/both {shares(40)}."
    )
    third = {"base": model("base", b"3")}
    server.register(server.connect(CONFIG, root), None, third["base"], "base")
    tag_taken_down(root, "walt-base", "3")
    said = _promote(root, third, 64)
    assert said.startswith("walt-base version 3 does not become champion: walt-base version 3 was made with what was")
    assert _champion(root) == "2"


@pytest.mark.slow
def test_the_first_takes_the_alias_then_only_a_better_one(root: Path, model: Model) -> None:
    first = _promote(root, {"base": model("base", b"1")}, 40)
    assert first == f"walt-base version 1 becomes champion: it is the first, with adherence/both {shares(40)}."

    within_chance = _promote(root, {"base": model("base", b"2")}, 46)
    assert within_chance.startswith(
        f"walt-base version 2 does not become champion: adherence/both {shares(46)} against {shares(40)} of version 1, "
        "not better by more than chance may give (gain +0.0938, needed are 1.5 x "
    )
    assert _champion(root) == "1"

    better = _promote(root, {"base": model("base", b"3")}, 62)
    assert better.startswith(
        f"walt-base version 3 becomes champion: adherence/both {shares(62)} against {shares(40)} of version 1, better"
    )
    assert _champion(root) == "3"
    # the value to beat is the champion's, not the last one's
    assert f"against {shares(62)} of version 3" in _promote(root, {"base": model("base", b"4")}, 50)


def test_weights_that_were_not_evaluated_are_refused(root: Path, model: Model) -> None:
    """The base model was replaced after a good evaluation of another."""
    folders = {"base": model("base", b"1"), "autoencoder": model("autoencoder", b"1")}
    of_these = evaluation(folders, 60)
    for name in folders:
        model(name, b"replaced")
        with pytest.raises(ConfigurationError, match=rf"models/{name}: these are not the weights that were evaluated"):
            promote(CONFIG, RULE, root, folders, of_these, Measure())
        model(name, b"1")
    with pytest.raises(ConfigurationError, match="sr-2x: these are not the weights that were evaluated"):
        promote(CONFIG, RULE, root, {**folders, "sr-2x": model("sr-2x", b"1")}, of_these, Measure())
    with pytest.raises(ConfigurationError, match="a release with autoencoder, which is gone"):
        promote(CONFIG, RULE, root, {"base": folders["base"]}, of_these, Measure())
    with pytest.raises(ConfigurationError, match="names no models: an earlier version made it"):
        promote(CONFIG, RULE, root, folders, {"metrics": {RULE.metric: 0.9}}, Measure())
    assert server.connect(CONFIG, root).client.search_registered_models() == [], "nothing was registered either"


@pytest.mark.slow
def test_the_champion_is_measured_again_where_the_set_has_changed(root: Path, model: Model) -> None:
    release = {"base": model("base", b"1"), "autoencoder": model("autoencoder", b"1")}
    _promote(root, release, 40)
    other = {"prompts and seeds": "second"}
    easier = Measure(shares(60, other))  # on these prompts, it is as good as the new one
    release = {"base": model("base", b"2"), "autoencoder": model("autoencoder", b"2")}
    said = _promote(root, release, shares(62, other), easier)
    assert easier.asked == [{"base": b"1", "autoencoder": b"1"}], "the weights that were registered"
    assert "does not become" in said
    assert f"{shares(62)} against {shares(60)} of version 1" in said
    assert _promote(root, release, shares(62, other), Measure()) == said, "what was measured is kept"
    assert "does not become" in _promote(root, release, 58, harder := Measure(shares(60))), "and back"
    assert len(harder.asked) == 1


@pytest.mark.slow
def test_a_champion_that_cannot_be_measured_on_the_same_keeps_the_alias(root: Path, model: Model) -> None:
    _promote(root, {"base": model("base", b"1")}, 10)
    second = {"base": model("base", b"2")}
    of_c = Measure(shares(10, {"prompts and seeds": "c"}))
    said = _promote(root, second, shares(64, {"prompts and seeds": "b"}), of_c)
    assert "does not become champion: adherence/both of version 1 was not measured on the same (prompts" in said
    with pytest.raises(CorruptArtifactError, match="version 1: other models than it has were measured"):
        promote(
            CONFIG, RULE, root, second, evaluation(second, shares(64, {"prompts and seeds": "d"})),
            lambda folders: {**evaluation(folders, 10), "models": {"base": "x"}},
        )  # fmt: skip
    assert _champion(root) == "1"


@pytest.mark.slow
def test_losses_of_another_latent_space_are_not_beaten(root: Path, model: Model) -> None:
    def loss(value: float, autoencoder: str) -> Figure:
        return mean_figure([value + 0.01 * (place % 7) for place in range(64)], {"autoencoder": autoencoder})

    _promote(root, {"base": model("base", b"1")}, loss(0.9, "first"), rule=LOSS)
    again = Measure(loss(0.9, "first"), rule=LOSS)
    said = _promote(root, {"base": model("base", b"2")}, loss(0.1, "second"), again, LOSS)
    assert said.endswith("(autoencoder): losses in two latent spaces are not compared.")
    assert _champion(root) == "1"
    assert "becomes champion" in _promote(root, {"base": model("base", b"3")}, loss(0.1, "first"), Measure(), LOSS)


@pytest.mark.slow
def test_the_decision_is_kept_with_the_versions(root: Path, model: Model) -> None:
    _promote(root, {"base": model("base", b"1"), "sr-2x": model("sr-2x", b"1")}, 40)
    _promote(root, {"base": model("base", b"2"), "sr-2x": model("sr-2x", b"1")}, 45)
    refused = json.loads(_tags(root, "2")[DECISION_TAG])
    assert (refused["becomes"], refused["against"]) == (None, "1")
    assert "not better by more than chance may give" in refused["reason"]
    assert refused["new"]["adherence/both"]["value"] == 45 / 64
    assert refused["old"]["adherence/both"]["value"] == 40 / 64
    assert refused["differences"]["adherence/both"]["value"] == 5 / 64
    assert refused["differences"]["adherence/both"]["half_width"] > 0
    assert refused["models"].keys() == {"base", "sr-2x"}
    assert refused["rule"] == RULE.model_dump(mode="json")
    assert json.loads(_tags(root, "1")[DECISION_TAG])["becomes"] == "champion"
    assert json.loads(_tags(root, "1", "walt-sr-2x")[DECISION_TAG])["against"] is None
    assert _tags(root, "2")[METRIC_TAG + "adherence/both"] == str(shares(45))
    measured = json.loads(_tags(root, "1")[MEASURED_TAG])
    assert len(measured["figures"]["adherence/both"]["replicates"]) == 200


@pytest.mark.slow
def test_asking_again_changes_nothing(root: Path, model: Model) -> None:
    _promote(root, {"base": model("base", b"1")}, 40)
    again = _promote(root, {"base": model("base", b"1")}, 40)
    assert again == f"walt-base version 1 already is champion (adherence/both {shares(40)}): nothing to decide."
    refused = _promote(root, {"base": model("base", b"2")}, 30)
    tags = _tags(root, "2")
    assert _promote(root, {"base": model("base", b"2")}, 30) == refused
    assert _tags(root, "2") == tags
    versions = server.connect(CONFIG, root).client.search_model_versions("name = 'walt-base'")
    assert len(versions) == 2


@pytest.mark.slow
def test_a_release_moves_as_a_whole(root: Path, model: Model) -> None:
    _promote(root, {"base": model("base", b"1"), "sr-2x": model("sr-2x", b"1")}, 30)
    # only the super-resolution model is new, and the release is worse: it stays
    worse = _promote(root, {"base": model("base", b"1"), "sr-2x": model("sr-2x", b"2")}, 20)
    assert worse.startswith("walt-base version 1 does not become champion")
    assert _champion(root, "walt-sr-2x") == "1"
    better = _promote(root, {"base": model("base", b"1"), "sr-2x": model("sr-2x", b"3")}, 60)
    assert f"{shares(60)} against {shares(30)}" in better
    assert _champion(root, "walt-sr-2x") == "3"
    # from here on, 60 are to be beaten
    assert f"against {shares(60)}" in _promote(root, {"base": model("base", b"2"), "sr-2x": model("sr-2x", b"3")}, 50)


@pytest.mark.slow
def test_a_model_that_is_no_part_of_the_new_release_loses_the_alias(root: Path, model: Model) -> None:
    _promote(root, {"base": model("base", b"1"), "sr-2x": model("sr-2x", b"1")}, 30)
    assert "becomes champion" in _promote(root, {"base": model("base", b"2")}, 60)
    assert not server.connect(CONFIG, root).client.get_registered_model("walt-sr-2x").aliases


@pytest.mark.slow
def test_a_promotion_that_breaks_off_is_completed(root: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for base in (b"2", b"1"):  # the decider is new, or it is not
        names = ("walt-base", "walt-sr-2x")
        _promote(root, {"base": model("base", b"1"), "sr-2x": model("sr-2x", b"1" + base)}, 20)
        start = [_champion(root, name) for name in names]
        release = {"base": model("base", base), "sr-2x": model("sr-2x", b"2" + base)}
        _break_off(root, release, monkeypatch)
        assert [_champion(root, name) for name in names] != start
        said = _promote(root, release, 60)
        assert ("becomes champion: adherence/both" in said) if base == b"2" else ("already is champion" in said)
        assert json.loads(_tags(root, _champion(root))[MEASURED_TAG])["models"] == release_digests(release)
        wanted = [server.find_version(server.connect(CONFIG, root), name, server.folder_digest(folder))
                  for name, folder in zip(names, release.values(), strict=True)]  # fmt: skip
        assert [_champion(root, name) for name in names] == wanted
        _reset(root)


def _break_off(root: Path, release: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Promote, and lose MLflow after the first alias has moved."""
    connect, moved = server.connect, list[str]()

    def breaking(*arguments: object) -> server.Connection:
        connection = connect(*arguments)  # type: ignore[arg-type]
        client, move = connection.client, connection.client.set_registered_model_alias
        tag = client.set_model_version_tag

        def one_only(name: str, alias: str, version: str) -> None:
            move(name, alias, version)
            moved.append(name)

        def none_after(*what: Any) -> None:
            if moved:
                raise ConnectionError("gone")
            tag(*what)

        monkeypatch.setattr(client, "set_registered_model_alias", one_only)
        monkeypatch.setattr(client, "set_model_version_tag", none_after)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(server, "connect", breaking)
        with pytest.raises(StorageError, match="gone"):
            _promote(root, release, 60)
    assert moved == ["walt-sr-2x"]


def _reset(root: Path) -> None:
    client = server.connect(CONFIG, root).client
    for name in ("walt-base", "walt-sr-2x"):
        client.delete_registered_model_alias(name, "champion")


@pytest.mark.slow
def test_a_value_that_is_no_number_never_wins(root: Path, model: Model) -> None:
    figure = Figure(math.nan, math.nan, math.nan, 64, (), ON)
    said = _promote(root, {"base": model("base", b"1")}, figure)
    assert said == "walt-base version 1 does not become champion: adherence/both is nan."


def test_a_metric_that_is_missing_names_the_nearest(root: Path, model: Model) -> None:
    folders = {"base": model("base", b"1")}
    without = evaluation(folders, 40)
    without["figures"] = {"adherence/base/both": without["figures"].pop(RULE.metric)}
    with pytest.raises(ConfigurationError, match=r"no 'adherence/both'; did you mean 'adherence/base/both'"):
        promote(CONFIG, RULE, root, folders, without, Measure())


@pytest.mark.slow
def test_the_newest_release_is_found_in_the_project(root: Path, model: Model) -> None:
    folders = {name: model(name, b"1") for name in ("base", "sr-2x", "autoencoder")}
    for folder in (Paths(root).aspect, Paths(root).sr_4x):
        leave_out(folder, "x")
    with pytest.raises(ConfigurationError, match=r"evaluation\.json: no such file"):
        promote_newest(CONFIG, RULE, root, Measure())
    write_json(Paths(root).evaluation, {})
    with pytest.raises(ConfigurationError, match="text-encoder: no such file"):
        promote_newest(CONFIG, RULE, root, Measure())
    folders["text-encoder"] = model("text-encoder", b"1")
    write_json_with_digest(Paths(root).evaluation, evaluation(folders, 40))
    assert "it is the first" in promote_newest(CONFIG, RULE, root, Measure())
    for name in ("walt-base", "walt-sr-2x", "walt-autoencoder", "walt-text-encoder"):
        assert _champion(root, name) == "1"
