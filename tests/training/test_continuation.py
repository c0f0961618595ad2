"""A run that was killed or has finished, something that differs, and the next start: each row of the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.tiny_loop import IDENTITY, Killed, files_of, loop_config, run
from tests.support.trainings import autoencoder_training, diffusion_training
from walt.core.errors import ConfigurationError
from walt.core.storage import read_json, write_json
from walt.training import checkpoint, continuation
from walt.training.config import IfDifferent, LoopConfig
from walt.training.continuation import Beginning, DifferentRunError, begin, finish
from walt.training.differences import TABLE, Kind, Row
from walt.training.loop import TrainingResult

STEPS, KILLED_AT = 4, 2
SHORT: dict[str, Any] = {"steps": STEPS, "checkpoint_every": 1, "ema_decay": 0.9}
CHANGES: dict[str, Any] = {
    "compute": {"workers": 8},
    "training.log_every": 2,
    "training.timestep_bands": 2,
    "training.checkpoint_every": 2,
    "training.keep_checkpoints": 5,
    "training.keep_every_steps": 1,
    "training.keep_every_hours": 1.0,
    "training.skip_non_finite": 7,
    "training.spike_threshold": 3.0,
    "training.activation_checkpointing": True,
    "training.accumulation": 2,
    "training.compile": True,
    "training.validation": {"every": 1},
    "training.perceptual_network": "elsewhere",
    "training.initial_weights": "elsewhere",
    "training.steps": 6,
    "training": {"optimizer": {"learning_rate": 0.5}},
    "settings": {"seed": 1},
    "data": {"clips": "xyz"},
    "weights": {"start_from": "xyz"},
    "code": {"a.py": "456", "b.py": "1"},
}
"""For each row of the table, something else than a run began with."""
OF_THE_AUTOENCODER = ("training.perceptual_network", "training.initial_weights")


def sections(row: Row, **more: Any) -> tuple[LoopConfig, LoopConfig, dict[str, Any]]:
    """The training's section before and after the row's change, and the rest of the identity after it."""
    make = autoencoder_training if row.what in OF_THE_AUTOENCODER else diffusion_training
    values = {**SHORT, **more}
    if row.what in OF_THE_AUTOENCODER:
        old = make(**values)
        return old, old.model_copy(update={row.what.partition(".")[2]: "elsewhere"}), IDENTITY
    old, change = make(**values), CHANGES[row.what]
    if row.what == "training":
        return old, make(**{**values, **change}), IDENTITY
    if row.what.startswith("training."):
        return old, make(**{**values, row.what.partition(".")[2]: change}), IDENTITY
    return old, old, {**IDENTITY, row.what: change}


def start(
    work: Path,
    config: LoopConfig,
    identity: dict[str, Any] = IDENTITY,
    if_different: IfDifferent = "refuse",
    stop: int | None = None,
) -> tuple[TrainingResult, list[int], Beginning]:
    """A start as a stage makes it, to its end: what came out, and which steps it trained."""
    beginning = begin("tiny", work, identity, config, if_different)
    steps: list[int] = []

    def before(step: int) -> None:
        steps.append(step)
        if step == stop:
            raise Killed

    result = run(work, config, before, identity=identity)
    finish(work, kept=3)
    return result, steps, beginning


def killed(work: Path, config: LoopConfig) -> dict[str, str]:
    """A run that was killed: digest of each of its checkpoints' files."""
    with pytest.raises(Killed):
        start(work, config, stop=KILLED_AT)
    return checkpoints_in(work)


def checkpoints_in(work: Path) -> dict[str, str]:
    return {file: digest for file, digest in files_of(work).items() if "step-" in file}


every_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.what)


def test_each_row_is_tried() -> None:
    assert set(CHANGES) == {row.what for row in TABLE}


@every_row
def test_a_start_after_a_kill_removes_no_checkpoint(row: Row, tmp_path: Path) -> None:
    old, new, identity = sections(row)
    for choice in ("refuse", "go-on", "afresh"):
        work = tmp_path / choice
        before = killed(work, old)
        assert len({file.split("/")[0] for file in before}) == KILLED_AT
        try:
            begin("tiny", work, identity, new, choice)
        except ConfigurationError:
            assert row.kind is Kind.ANOTHER
        after = {"/".join(file.split("/")[-2:]): digest for file, digest in checkpoints_in(work).items()}
        assert after == before


@every_row
def test_after_a_kill_the_run_goes_on_or_asks(row: Row, tmp_path: Path) -> None:
    old, new, identity = sections(row)
    killed(tmp_path, old)
    if row.kind is Kind.ANOTHER:
        before = files_of(tmp_path)
        with pytest.raises(DifferentRunError) as error:
            start(tmp_path, new, identity)
        assert error.value.exit_status == 2
        assert len(str(error.value).splitlines()) == 1
        for way_on in ("Undo this", "`walt tiny --go-on`", "`walt tiny --afresh`", "resume.if_different"):
            assert way_on in str(error.value)
        assert files_of(tmp_path) == before
        with pytest.raises(DifferentRunError):  # whoever trains without asking is refused too
            run(tmp_path, new, identity=identity)
        assert files_of(tmp_path) == before
    choice: IfDifferent = "go-on" if row.kind is Kind.ANOTHER else "refuse"
    result, steps, beginning = start(tmp_path, new, identity, choice)
    assert steps == list(range(KILLED_AT, new.steps))
    [change] = result.changes
    assert (change["step"], change["kind"]) == (KILLED_AT, str(row.kind))
    assert change["differences"]
    assert list(result.changes) == beginning.changes
    assert f"step {KILLED_AT}: {change['differences'][0]}" in beginning.tags()["walt.changes"]


@pytest.mark.parametrize("row", [row for row in TABLE if row.kind is Kind.HARMLESS], ids=lambda row: row.what)
def test_a_harmless_difference_changes_no_bit(row: Row, tmp_path: Path) -> None:
    """The tiny network has nothing to compile, to compute again or in parts: these change bits by rounding at most."""
    old, new, identity = sections(row)
    undisturbed, _, _ = start(tmp_path / "a", old)
    killed(tmp_path / "b", old)
    result, _, _ = start(tmp_path / "b", new, identity)
    assert all(torch.equal(value, undisturbed.state_dict[name]) for name, value in result.state_dict.items())


@every_row
def test_after_the_end_the_run_goes_on_or_begins_afresh_without_asking(row: Row, tmp_path: Path) -> None:
    old, new, identity = sections(row)
    first, _, _ = start(tmp_path, old)
    [before] = [folder.name for folder in checkpoint.checkpoints(tmp_path)]
    result, steps, _ = start(tmp_path, new, identity)
    aside = tmp_path / "set-aside/0001"
    if row.kind is Kind.ANOTHER:
        assert steps == list(range(STEPS))
        assert sorted(path.name for path in aside.iterdir()) == [before, "why.json"]
        assert "->" in read_json(aside / "why.json")["why"] or row.what == "code"
    else:
        assert steps == list(range(STEPS, new.steps))
        assert not aside.exists()
    if row.kind is Kind.HARMLESS:  # published again as it was
        assert all(torch.equal(value, first.state_dict[name]) for name, value in result.state_dict.items())
        assert not result.changes


def test_afresh_sets_aside_and_the_run_that_replaces_removes_nothing(tmp_path: Path) -> None:
    config = loop_config(**SHORT)
    digests = killed(tmp_path, config)
    for seed in range(1, 4):
        identity = {**IDENTITY, "settings": {"seed": seed}}
        with pytest.raises(Killed):
            start(tmp_path, config, identity, "afresh", stop=KILLED_AT)
    result, steps, _ = start(tmp_path, config, {**IDENTITY, "settings": {"seed": 4}}, "afresh")
    assert steps == list(range(STEPS))
    assert not result.changes
    assert [folder.name for folder in sorted((tmp_path / "set-aside").iterdir())] == ["0002", "0003", "0004"]  # kept 3
    finish(tmp_path, kept=1)
    assert [folder.name for folder in (tmp_path / "set-aside").iterdir()] == ["0004"]
    assert len(digests) == len(checkpoints_in(tmp_path / "set-aside/0004"))
    finish(tmp_path, kept=None)
    assert (tmp_path / "set-aside/0004/step-000000002/model.safetensors").is_file()


def test_longer_after_the_end_is_the_same_as_in_one_go_where_the_rate_is_constant(tmp_path: Path) -> None:
    """The issue's 100 -> 150, a tenth of it."""
    constant: dict[str, Any] = {"optimizer": {"schedule": "constant"}, "ema_decay": 0.9, "log_every": 5}
    in_one_go, _, _ = start(tmp_path / "a", loop_config(steps=15, checkpoint_every=5, **constant))
    start(tmp_path / "b", loop_config(steps=10, checkpoint_every=5, **constant))
    longer, steps, _ = start(tmp_path / "b", loop_config(steps=15, checkpoint_every=5, **constant))
    assert steps == list(range(10, 15))
    assert longer.history == in_one_go.history
    assert all(torch.equal(value, in_one_go.state_dict[name]) for name, value in longer.state_dict.items())
    [change] = longer.changes
    assert change == {"step": 10, "kind": "a longer run", "differences": ["tiny.steps 10 -> 15"]}


def test_a_longer_run_says_that_its_schedule_is_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cosine: dict[str, Any] = {"optimizer": {"schedule": "cosine"}, "checkpoint_every": 1}
    start(tmp_path, loop_config(steps=4, **cosine))
    result, _, _ = start(tmp_path, loop_config(steps=6, **cosine))
    [difference] = result.changes[0]["differences"]
    assert difference == "tiny.steps 4 -> 6 (the learning rate depends on it: other rates than in one go)"
    assert difference in capsys.readouterr().out.replace("\n", " ")


def test_what_was_gone_on_with_is_not_asked_again_and_the_rest_is(tmp_path: Path) -> None:
    """Also where the process is killed before its first checkpoint."""
    old, new = loop_config(**SHORT), loop_config(**SHORT, optimizer={"learning_rate": 0.5})
    killed(tmp_path, old)
    with pytest.raises(Killed):
        start(tmp_path, new, if_different="go-on", stop=KILLED_AT)
    with pytest.raises(Killed):
        start(tmp_path, new, stop=KILLED_AT)
    with pytest.raises(DifferentRunError):
        start(tmp_path, new, {**IDENTITY, "data": {"clips": "xyz"}})
    with pytest.raises(Killed):
        start(tmp_path, new, stop=KILLED_AT + 1)
    with pytest.raises(DifferentRunError, match=r"tiny\.optimizer\.learning_rate 0\.5 -> 0\.01"):
        start(tmp_path, old)
    result, steps, _ = start(tmp_path, old, if_different="go-on")
    assert steps == [KILLED_AT + 1]
    assert [change["step"] for change in result.changes] == [KILLED_AT, KILLED_AT + 1]
    assert not (tmp_path / "accepted.json").exists()


def test_a_lower_rate_is_used_from_where_it_was_changed(tmp_path: Path) -> None:
    slow = loop_config(**SHORT, log_every=1, optimizer={"learning_rate": 1e-4, "schedule": "constant"})
    killed(tmp_path, loop_config(**SHORT, log_every=1, optimizer={"learning_rate": 0.5, "schedule": "constant"}))
    result, _, _ = start(tmp_path, slow, if_different="go-on")
    assert [entry["lr"] for entry in result.history] == [0.25, 0.5, 1e-4, 1e-4]  # two steps of warming up


@pytest.mark.parametrize("change", [{"optimizer": {"name": "adafactor"}}, {"ema_decay": 0.5}])
def test_what_the_checkpoint_lacks_starts_anew(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed(tmp_path, loop_config(**{**SHORT, "ema_decay": 0.0}))
    result, steps, _ = start(tmp_path, loop_config(**{**SHORT, "ema_decay": 0.0, **change}), if_different="go-on")
    assert steps == list(range(KILLED_AT, STEPS))
    assert all(bool(torch.isfinite(value).all()) for value in result.state_dict.values())
    assert ("no moments of adafactor" in capsys.readouterr().out) == ("optimizer" in change)


def test_fewer_steps_than_are_done_can_only_begin_afresh(tmp_path: Path) -> None:
    killed(tmp_path, loop_config(**SHORT))
    shorter = loop_config(**{**SHORT, "steps": 1})
    before = files_of(tmp_path)
    with pytest.raises(
        ConfigurationError, match=r"tiny\.steps is 1, but the checkpoint has done 2: raise it, or begin"
    ):
        begin("tiny", tmp_path, IDENTITY, shorter, "go-on")
    assert files_of(tmp_path) == before
    _, steps, _ = start(tmp_path, shorter, if_different="afresh")
    assert steps == [0]


def test_a_finished_run_is_not_gone_on_from_with_other_data_unless_it_is_made_longer(tmp_path: Path) -> None:
    config, other = loop_config(**SHORT), {**IDENTITY, "data": {"clips": "xyz"}}
    start(tmp_path / "a", config)
    _, steps, _ = start(tmp_path / "a", config, other, "go-on")
    assert steps == list(range(STEPS)), "the old model would be published for the new data"
    start(tmp_path / "b", config)
    result, steps, _ = start(tmp_path / "b", loop_config(**{**SHORT, "steps": 6}), other, "go-on")
    assert steps == [4, 5]
    assert result.changes[0]["step"] == STEPS


def test_a_run_killed_before_its_model_was_published_has_not_finished(tmp_path: Path) -> None:
    run(tmp_path, loop_config(**SHORT))
    with pytest.raises(DifferentRunError):
        start(tmp_path, loop_config(**SHORT), {**IDENTITY, "settings": {"seed": 1}})
    _, steps, _ = start(tmp_path, loop_config(**SHORT))
    assert not steps


def test_a_checkpoint_of_an_earlier_version_is_refused_or_set_aside(tmp_path: Path) -> None:
    killed(tmp_path, loop_config(**SHORT))
    for folder in checkpoint.checkpoints(tmp_path):
        content = read_json(folder / "state.json")
        write_json(folder / "state.json", {name: value for name, value in content.items() if name != "format"})
        manifest = read_json(folder / "manifest.json")
        del manifest["sha256"]  # of its own content: it had none
        manifest["files"]["state.json"]["sha256"] = files_of(folder)["state.json"]
        write_json(folder / "manifest.json", manifest)
    before = files_of(tmp_path)
    for choice in ("refuse", "go-on"):
        with pytest.raises(ConfigurationError, match=r"of another version of walt.* go on with that version, or begin"):
            start(tmp_path, loop_config(**SHORT), if_different=choice)
        assert files_of(tmp_path) == before
    _, steps, _ = start(tmp_path, loop_config(**SHORT), if_different="afresh")
    assert steps == list(range(STEPS))
    assert (tmp_path / "set-aside/0001/step-000000002/model.safetensors").is_file()


def damage(folder: Path, file: str) -> None:
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content)


@pytest.mark.parametrize("file", ["model.safetensors", "state.json"])
def test_where_no_checkpoint_is_whole_nothing_begins_until_somebody_says_so(file: str, tmp_path: Path) -> None:
    """Whether all are read before any work, or only when the loop begins."""
    config = loop_config(**SHORT)
    before = killed(tmp_path, config)
    for folder in checkpoint.checkpoints(tmp_path):
        damage(folder, file)
    damaged = files_of(tmp_path)
    for choice in ("refuse", "go-on"):
        with pytest.raises(checkpoint.NoneWholeError) as error:
            start(tmp_path, config, if_different=choice)
        assert error.value.exit_status == 5
        assert len(str(error.value).splitlines()) == 1
        for said in (str(tmp_path), "of 2 that are there", "from a backup", "`walt tiny --afresh`", "if_different"):
            assert said in str(error.value)
        assert files_of(tmp_path) == damaged
    _, steps, beginning = start(tmp_path, config, if_different="afresh")
    assert (steps, beginning.step) == (list(range(STEPS)), 0)
    assert len(checkpoints_in(tmp_path / "set-aside/0001")) == len(before)
    _, steps, _ = start(tmp_path, config)
    assert not steps, "it has finished"


def test_damaged_ones_of_an_earlier_start_are_set_aside_with_the_rest(tmp_path: Path) -> None:
    killed(tmp_path, loop_config(**SHORT))
    [first, newest] = checkpoint.checkpoints(tmp_path)
    damage(newest, "state.json")
    with pytest.raises(Killed):
        start(tmp_path, loop_config(**SHORT), stop=1)
    assert sorted(folder.name for folder in tmp_path.glob("*step-*")) == [f"damaged-{newest.name}", first.name]
    damage(first, "state.json")
    with pytest.raises(checkpoint.NoneWholeError, match="of 2 that are there"):
        start(tmp_path, loop_config(**SHORT))
    with pytest.raises(Killed):
        start(tmp_path, loop_config(**SHORT), if_different="afresh", stop=0)
    assert not list(tmp_path.glob("*step-*"))
    _, steps, _ = start(tmp_path, loop_config(**SHORT))
    assert steps == list(range(STEPS)), "a run that has written none yet begins without asking"


def test_changes_are_beside_the_model_only_where_there_are_some(tmp_path: Path) -> None:
    continuation.write_changes(tmp_path, [])
    assert not list(tmp_path.iterdir())
    continuation.write_changes(tmp_path, [{"step": 3, "kind": "harmless", "differences": ["a 1 -> 2"]}])
    assert read_json(tmp_path / "changes.json")[0]["step"] == 3
    assert Beginning(0, []).tags() == {}
