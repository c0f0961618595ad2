"""What a failed flow run says: the stage's own last words, and whether it is repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.processes import Ended
from tests.support.tiny_loop import IDENTITY, loop_config, run
from walt.core.errors import ConfigurationError, StorageError
from walt.project.registry import stages_needed_for
from walt.training.continuation import begin


def test_a_training_that_is_refused_fails_the_flow_with_the_ways_on_and_is_not_repeated(tmp_path: Path) -> None:
    from flows.pipeline import StageFailedError  # Prefect with it: only the process that runs this test needs that

    run(tmp_path, loop_config(steps=2))
    with pytest.raises(ConfigurationError) as refused:
        begin("train-base", tmp_path, {**IDENTITY, "settings": {"seed": 1}}, loop_config(steps=2), "refuse")
    printed = (
        "Running stage 'train-base':",
        "> walt train-base",
        f"walt: {refused.value}",
        "ERROR: failed to reproduce 'train-base': failed to run: walt train-base, exited with 2",
    )
    error = StageFailedError("train-base", Ended(255, printed))
    assert error.status == ConfigurationError.exit_status != StorageError.exit_status  # only storage is repeated
    assert str(error).startswith("train-base ended with exit status 2: walt: train-base: the checkpoint of step 2 ")
    assert "seed 0 -> 1" in str(error)
    for way_on in ("Undo this", "--go-on", "--afresh", "resume.if_different in params.yaml: go-on or afresh"):
        assert way_on in str(error)


def test_only_what_was_made_before_may_lie_in_dvcs_cache(tmp_path: Path) -> None:
    """A first run does not stop for advice and run ``dvc checkout``."""
    from flows import pipeline

    stages, stale = stages_needed_for("train-base"), ["ingest", "encode-text", "train-base"]
    assert pipeline.made_again(tmp_path, stages, stale) == []
    recorded = {"stages": {name: {} for name in ("ingest", "encode-video", "train-base")}}
    (tmp_path / "dvc.lock").write_text(json.dumps(recorded))  # JSON is YAML
    assert pipeline.made_again(tmp_path, stages, stale) == ["ingest", "train-base"]
