"""What is said of a prompt that the text encoder does not see whole: with the job, and with its result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.sample_project import sample_project
from tests.support.ui import Api, api


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Api:
    return api(root, tmp_path_factory.mktemp("results"))


@pytest.mark.slow
def test_what_the_text_encoder_does_not_see_of_a_prompt_is_said(whole: Api, root: Path) -> None:
    job = whole.ended(whole.submit(prompt="a red 圆", steps=1, cascade=False))
    result = whole.get(f"results/{job['id']}")
    assert job["notes"] == result["notes"]
    assert any("vocabulary lacks" in note and "圆" in note for note in job["notes"])
    file = whole.studio.results.folder / job["id"] / "result.json"
    kept = json.loads(file.read_text())
    del kept["notes"]  # one of earlier versions
    file.write_text(json.dumps(kept))
    again = api(root, whole.studio.results.folder, start=False)
    assert again.get(f"results/{job['id']}")["notes"] == []


def test_a_prompt_that_is_seen_whole_gets_no_note(whole: Api) -> None:
    job = whole.ended(whole.submit(prompt="a", steps=1, cascade=False))
    assert job["notes"] == whole.get(f"results/{job['id']}")["notes"] == []
