"""The page that ``walt promote`` writes: both sides' figures, the decision, versions and runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.tiny_models import BASE, drawn, write_models
from tests.support.tracking import CONFIG
from walt.commands.promote import decision_page
from walt.commands.promote.decision_page import PAGE, write_decision
from walt.core.paths import Paths
from walt.evaluation.resampling import share_figure
from walt.tracking.decisions import Decided
from walt.tracking.models import promote
from walt.tracking.promotion import BetterBeyondChance
from walt.tracking.releases import release_digests, release_folders
from walt.tracking.runs import start_run
from walt.transformer.model import WaltTransformer, save_transformer

RULE = BetterBeyondChance(
    rule="better_beyond_chance", alias="champion", metric="adherence/both", better="higher", margin=1.5, guards=(),
    floor=None,
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, empty_database: Path) -> Path:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    write_models(tmp_path)
    return tmp_path


def decide(project: Path, matches: int) -> str:
    """Train (which registers the base model), evaluate and promote."""
    folders = release_folders(Paths(project))
    figure = share_figure([place < matches for place in range(64)], {"prompts": "same", "protocol": "demo (0a)"})
    samples = project / "some samples"
    samples.mkdir(exist_ok=True)
    (samples / "00000.mp4").write_bytes(b"video")
    with start_run(CONFIG, project, "train-base", {}, {}) as run:
        run.register_model(folders["base"], "base")
    digests = release_digests(folders)
    with start_run(CONFIG, project, "evaluate", {}, {}) as run:
        run.log_release(digests, {}, {RULE.metric: (figure.value, str(figure), "same")}, samples, "its digest")
    evaluation = {"models": digests, "figures": {RULE.metric: figure.as_json()}}
    return promote(CONFIG, RULE, project, folders, evaluation, lambda _: {})


@pytest.mark.slow
def test_both_sides_their_difference_versions_and_runs_are_on_the_page(project: Path) -> None:
    assert write_decision(CONFIG, project) is None
    assert not (project / PAGE).exists()
    decide(project, 20)
    assert write_decision(CONFIG, project) == project / PAGE
    first = (project / PAGE).read_text(encoding="utf-8")
    assert "walt-base version 1" in first
    assert "became champion" in first
    assert "There is no release before it" in first
    assert "Protocol: demo (0a)." in first
    assert "Both sides" not in first
    save_transformer(Paths(project).base, drawn(WaltTransformer(BASE), 9))
    said = decide(project, 60)
    assert said.startswith("walt-base version 2 becomes champion")
    write_decision(CONFIG, project)
    page = (project / PAGE).read_text(encoding="utf-8")
    for matches in (20, 60):
        assert str(share_figure([place < matches for place in range(64)], {})) in page
    assert "+0.625 ±" in page
    assert f"<p>{said.partition(': ')[2]}" in page.replace("&#39;", "'"), "with a metric's name as it is"
    assert "<p>It is the first, with" in first
    assert "Both sides were measured on the same" in page
    assert '<th scope="row">walt-autoencoder</th><td>version 1</td>' in page
    assert page.count("in MLflow</th><td><code>") == 2
    assert "src=" not in page
    assert write_decision(CONFIG, project) is not None
    assert (project / PAGE).read_text(encoding="utf-8") == page


def test_a_release_that_was_not_promoted_says_so(project: Path) -> None:
    decide(project, 60)
    save_transformer(Paths(project).base, drawn(WaltTransformer(BASE), 9))
    assert "does not become champion" in decide(project, 20)
    write_decision(CONFIG, project)
    page = (project / PAGE).read_text(encoding="utf-8")
    assert "took no alias" in page
    assert '<th scope="col">Version 1</th>' in page


@pytest.mark.parametrize(("groups", "shown"), [(None, "8"), (list("aaaabbbb"), "8 from 2")])
def test_clips_of_few_recordings_are_told_and_explained(groups: list[str] | None, shown: str) -> None:
    figure = share_figure([place < 5 for place in range(8)], {}, groups)
    decided = Decided(
        "walt-base", "1", "2026-01-01", None, "too few", None, {RULE.metric: figure}, {}, {}, {}, None, None
    )
    text = decision_page.page(decided)
    assert f"<td>{shown}</td>" in text
    assert ("64 from 16: they are from 16 recordings" in text) == (groups is not None)
