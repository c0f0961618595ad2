"""The model card: a head that the Hub's own library reads, and what was measured of these very models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from tests.support.exported import CLASSES, write_project
from walt.core.digests import sha256_file
from walt.core.left_out import leave_out
from walt.core.paths import Paths
from walt.core.storage import write_json
from walt.evaluation.resampling import share_figure
from walt.hub.project_models import Request, export_model
from walt.tracking.releases import release_digests, release_folders

ON = {"prompts and seeds": 64 * "a", "videos": "5 frames of 32x32"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_project(tmp_path_factory.mktemp("card") / "project")
    paths = Paths(root)
    figure = share_figure([place < 48 for place in range(64)], ON)
    write_json(
        paths.evaluation,
        {
            "models": release_digests(release_folders(paths)),
            "settings": {"sample": {"steps": 25}, "samples": 64},
            "figures": {name: figure.as_json() for name in ("adherence/both", "held_out_loss/base/band_00")},
        },
    )
    samples = [{"prompt": "a <b>red</b> circle"}, {"prompt": "a <b>red</b> circle"}, {"prompt": ""}]
    write_json(paths.samples / "samples.json", samples)
    write_json(paths.manifest / "_index.json", {"parts": []})
    return root


def text_of(root: Path, target: Path, **options: str) -> str:
    export_model(root, Request(target, **options))  # type: ignore[arg-type]
    return (target / "README.md").read_text()


def test_the_hubs_library_reads_its_head(project: Path, tmp_path: Path) -> None:
    data = ModelCard(text_of(project, tmp_path / "out", licence="cc-by-4.0")).data
    assert (data.library_name, data.license, data.pipeline_tag) == ("diffusers", "cc-by-4.0", "text-to-video")
    assert data.model_name == "out"
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_name) == ("adherence/both", 0.75, "shapes-few")
    assert "95 % interval [0.63" in result.metric_name


def test_it_says_what_was_measured_and_on_what(project: Path, tmp_path: Path) -> None:
    text = text_of(project, tmp_path / "out")
    assert "| adherence/both | 0.75 | [0.63" in text
    assert "| 64 | prompts and seeds: aaaaaaaaaaaa; videos: 5 frames of 32x32 |" in text
    assert '"steps": 25' in text
    assert f"the manifest with the SHA-256 `{sha256_file(project / 'data/manifest/_index.json')}`" in text
    assert "videos of 5 frames at 8 frames per second, 32 pixels high and 32 wide" in text
    assert text.count("- a &lt;b&gt;red&lt;/b&gt; circle") == 1
    assert "Of the weights: not stated." in text


def test_it_names_the_code_that_runs(project: Path, tmp_path: Path) -> None:
    text = text_of(project, tmp_path / "out")
    (code,) = (tmp_path / "out").glob("walt_*.py")
    assert f"runs `{code.name}`" in text
    assert json.loads((tmp_path / "out/model_index.json").read_text())["_class_name"][0] == code.stem


def test_figures_of_other_models_are_left_out(project: Path, tmp_path: Path) -> None:
    root = write_project(tmp_path / "other", CLASSES, CLASSES)
    text = text_of(root, tmp_path / "first")
    assert "were not evaluated where this was written" in text
    assert "their digest is not known" in text
    assert "pipeline_tag" not in text
    assert "tokens" not in text
    Paths(root).evaluation.parent.mkdir()
    Paths(root).evaluation.write_bytes(Paths(project).evaluation.read_bytes())
    text = text_of(root, tmp_path / "second")
    assert "is of other models than these" in text
    assert "0.75" not in text


def test_a_model_without_super_resolution(tmp_path: Path) -> None:
    root = write_project(tmp_path / "alone")
    leave_out(Paths(root).sr_2x, "sr_2x")
    assert "videos of 5 frames at 8 frames per second, 16 pixels high" in text_of(root, tmp_path / "out")
