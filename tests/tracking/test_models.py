"""Promotion: the alias moves for a whole release, and only for a better one."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tracking import CONFIG
from walt.core.errors import ConfigurationError, StorageError
from walt.core.left_out import leave_out
from walt.core.paths import Paths
from walt.core.storage import write_json
from walt.tracking import server
from walt.tracking.models import promote, promote_newest
from walt.tracking.promotion import BetterByMargin

Model = Callable[[str, bytes], Path]
RULE = BetterByMargin(rule="better_by_margin", alias="champion", metric="adherence/both", better="higher", margin=0.05)
LOWER = RULE.model_copy(update={"metric": "frechet_distance/thumbnail", "better": "lower", "margin": 0.0})


def _promote(root: Path, folders: dict[str, Path], value: float, rule: BetterByMargin = RULE) -> str:
    return promote(CONFIG, rule, root, folders, {rule.metric: value})


def _champion(root: Path, name: str = "walt-base") -> str:
    return str(server.connect(CONFIG, root).client.get_model_version_by_alias(name, "champion").version)


def test_the_first_takes_the_alias_then_only_a_better_one(root: Path, model: Model) -> None:
    first = _promote(root, {"base": model("base", b"1")}, 0.6)
    assert first == "walt-base version 1 becomes champion: it is the first, with adherence/both 0.6."

    within_margin = _promote(root, {"base": model("base", b"2")}, 0.64)
    assert within_margin == (
        "walt-base version 2 does not become champion: adherence/both 0.64 against 0.6 of version 1, "
        "not better by more than 0.05."
    )
    assert _champion(root) == "1"

    better = _promote(root, {"base": model("base", b"3")}, 0.7)
    assert better == (
        "walt-base version 3 becomes champion: adherence/both 0.7 against 0.6 of version 1, better by more than 0.05."
    )
    assert _champion(root) == "3"
    # the value to beat is the champion's, not the last one's
    assert "does not become" in _promote(root, {"base": model("base", b"4")}, 0.65)


def test_lower_is_better_where_the_rule_says_so(root: Path, model: Model) -> None:
    _promote(root, {"base": model("base", b"1")}, 10.0, LOWER)
    assert "does not become" in _promote(root, {"base": model("base", b"2")}, 10.0, LOWER)
    assert "version 3 becomes champion" in _promote(root, {"base": model("base", b"3")}, 9.9, LOWER)


def test_asking_again_changes_nothing(root: Path, model: Model) -> None:
    _promote(root, {"base": model("base", b"1")}, 0.6)
    again = _promote(root, {"base": model("base", b"1")}, 0.6)
    assert again == "walt-base version 1 already is champion (adherence/both 0.6): nothing to decide."
    refused = _promote(root, {"base": model("base", b"2")}, 0.5)
    assert _promote(root, {"base": model("base", b"2")}, 0.5) == refused
    versions = server.connect(CONFIG, root).client.search_model_versions("name = 'walt-base'")
    assert len(versions) == 2


def test_a_release_moves_as_a_whole(root: Path, model: Model) -> None:
    _promote(root, {"base": model("base", b"1"), "sr-2x": model("sr-2x", b"1")}, 0.6)
    # only the super-resolution model is new, and the release is worse: it stays
    worse = _promote(root, {"base": model("base", b"1"), "sr-2x": model("sr-2x", b"2")}, 0.5)
    assert worse.startswith("walt-base version 1 does not become champion")
    assert _champion(root, "walt-sr-2x") == "1"
    better = _promote(root, {"base": model("base", b"1"), "sr-2x": model("sr-2x", b"3")}, 0.8)
    assert "0.8 against 0.6" in better
    assert _champion(root, "walt-sr-2x") == "3"
    # from here on, 0.8 is to be beaten
    assert "against 0.8" in _promote(root, {"base": model("base", b"2"), "sr-2x": model("sr-2x", b"3")}, 0.7)


def test_a_promotion_that_breaks_off_is_completed(root: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    _promote(root, {"base": model("base", b"1"), "sr-2x": model("sr-2x", b"1")}, 0.6)
    release = {"base": model("base", b"2"), "sr-2x": model("sr-2x", b"2")}
    connect = server.connect

    def breaking(*arguments: object) -> server.Connection:
        connection = connect(*arguments)  # type: ignore[arg-type]
        move = connection.client.set_registered_model_alias

        def one_only(name: str, alias: str, version: str) -> None:
            if _champion_of(connection, "walt-sr-2x") == "2":
                raise ConnectionError("gone")
            move(name, alias, version)

        monkeypatch.setattr(connection.client, "set_registered_model_alias", one_only)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(server, "connect", breaking)
        with pytest.raises(StorageError, match="gone"):
            _promote(root, release, 0.7)
    assert "version 2 becomes champion" in _promote(root, release, 0.7)
    assert _champion(root) == _champion(root, "walt-sr-2x") == "2"


def _champion_of(connection: server.Connection, name: str) -> str:
    return str(connection.client.get_model_version_by_alias(name, "champion").version)


def test_a_value_that_is_no_number_never_wins(root: Path, model: Model) -> None:
    said = _promote(root, {"base": model("base", b"1")}, math.nan)
    assert said == "walt-base version 1 does not become champion: adherence/both is nan."


def test_another_metric_starts_without_old_values(root: Path, model: Model) -> None:
    _promote(root, {"base": model("base", b"1")}, 0.6)
    said = _promote(root, {"base": model("base", b"2")}, 12.0, LOWER)
    assert "version 1 was never measured by frechet_distance/thumbnail; this one has 12" in said
    assert _champion(root) == "2"


def test_a_metric_that_is_missing_names_the_nearest(root: Path, model: Model) -> None:
    with pytest.raises(ConfigurationError, match=r"no 'adherence/both'; did you mean 'adherence/base/both'"):
        promote(CONFIG, RULE, root, {"base": model("base", b"1")}, {"adherence/base/both": 1.0, "loss": 2.0})


def test_the_newest_release_is_found_in_the_project(root: Path, model: Model) -> None:
    for name in ("base", "sr-2x", "autoencoder"):
        model(name, b"1")
    for folder in (Paths(root).aspect, Paths(root).sr_4x):
        leave_out(folder, "x")
    with pytest.raises(ConfigurationError, match=r"evaluation\.json: no such file"):
        promote_newest(CONFIG, RULE, root)
    write_json(Paths(root).evaluation, {"metrics": {"adherence/both": 0.9}, "details": {}})
    with pytest.raises(ConfigurationError, match="text-encoder: no such file"):
        promote_newest(CONFIG, RULE, root)
    model("text-encoder", b"1")
    assert "it is the first" in promote_newest(CONFIG, RULE, root)
    for name in ("walt-base", "walt-sr-2x", "walt-autoencoder", "walt-text-encoder"):
        assert _champion(root, name) == "1"
