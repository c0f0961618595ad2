"""The stage evaluate on a whole tiny project: clips, latents and text by hand, untrained models, drawn samples."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree
from statistics import fmean, stdev
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.bf16 import ASKED
from tests.support.evaluated_project import PROMPTS, REPOSITORY, Tracked, config, write_project, write_recordings
from tests.support.pretrained import NeedsTenFrames
from tests.support.text_folder import write_text
from tests.support.tiny_clips import ROWS, clip_row
from tests.support.tiny_models import BASE, TEXT, drawn
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.figures import Figure
from walt.core.left_out import leave_out
from walt.core.paths import Paths
from walt.core.storage import read_json, write_json
from walt.data.captions import Caption
from walt.data.clip_table_writer import write_clip_rows
from walt.evaluation.config import NetworkFile
from walt.evaluation.metric_names import ADHERENCE, metric_names
from walt.ingest.config import DatasetConfig
from walt.project.registry import get_stage
from walt.stages import evaluate
from walt.stages.evaluate import Config, run
from walt.tracking.releases import release_digests, release_folders
from walt.transformer.model import WaltTransformer, save_transformer

BANDS = ("/band_00", "/band_01", "/band_02")
OF_SETS = {
    *(f"{metric}/random_network" for metric in ("frechet_distance", "kid", "mmd", "precision", "recall")),
    "frechet_distance/motion",
}


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> Tracked:
    run = Tracked()
    monkeypatch.setattr(evaluate, "start_run", lambda *_, **__: run)
    return run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return write_project(tmp_path_factory.mktemp("project"))


def test_config_has_what_the_registry_declares() -> None:
    stage = get_stage("evaluate")
    assert set(Config.model_fields) == {*stage.params, *stage.settings}


@pytest.mark.slow
def test_metrics(project: Paths, tracked: Tracked) -> None:
    result = run(config(), project)
    written = read_json(project.evaluation)
    metrics = written["metrics"]
    assert set(metrics) == {
        *(f"held_out_loss/{model}{band}" for model in ("base", "sr_2x") for band in ("", *BANDS)),
        *OF_SETS,
        *(f"adherence/{base}{what}" for base in ("", "base/") for what in ADHERENCE),
    }  # fmt: skip
    assert set(metrics) == set(metric_names(config().evaluate, ["base", "sr_2x"], cascade=True))
    assert metrics["adherence/colour"] == metrics["adherence/both"] == 4 / 6
    assert metrics["adherence/direction"] == metrics["adherence/base/both"] == 1.0
    bands = [metrics[f"held_out_loss/base/band_0{band}"] for band in range(3)]
    assert metrics["held_out_loss/base"] == pytest.approx(sum(bands) / 3)
    assert all(value > 0 for value in bands)
    assert metrics["frechet_distance/random_network"] > 0
    assert result == {key: value for key, value in metrics.items() if "band" not in key}
    assert metrics.items() <= tracked.metrics.items()
    assert tracked.metrics["adherence/both/low"] < 4 / 6 < tracked.metrics["adherence/both/high"]


@pytest.mark.slow
def test_each_number_has_its_interval_and_what_it_was_measured_on(project: Paths, tracked: Tracked) -> None:
    run(config(), project)
    written = read_json(project.evaluation)
    figures = {name: Figure.from_json(value) for name, value in written["figures"].items()}
    assert {name: figure.value for name, figure in figures.items()} == written["metrics"]
    for name, figure in figures.items():
        assert figure.low <= figure.value <= figure.high
        assert "code" in figure.conditions
        assert len(figure.replicates) == (0 if name.startswith("held_out_loss") else 200)  # there is one held-out clip
    distance, share = figures["frechet_distance/random_network"], figures["adherence/both"]
    assert share.conditions.keys() == {"protocol", "videos", "prompts and seeds", "arithmetic", "sampling", "code"}
    assert distance.conditions.keys() == share.conditions.keys() | {"real clips", "extractor"}
    assert figures["held_out_loss/base"].conditions["autoencoder"] == written["models"]["autoencoder"]
    assert written["models"] == release_digests(release_folders(project))
    assert written["models"].keys() == {"base", "sr-2x", "autoencoder", "text-encoder"}
    assert written["settings"]["evaluate"]["real_clips"] == 4


@pytest.mark.slow
def test_other_clips_prompts_and_settings_are_other_conditions(tmp_path: Path, tracked: Tracked) -> None:
    paths = write_project(tmp_path)

    def conditions(**changes: Any) -> dict[str, dict[str, str]]:
        run(config(**changes), paths)
        figures = read_json(paths.evaluation)["figures"]
        return {name.split("/")[0]: of["conditions"] for name, of in figures.items() if not name.endswith("/motion")}

    def differ(others: dict[str, dict[str, str]]) -> set[str]:
        return {f"{kind}: {name}" for kind, found in others.items() for name, value in found.items()
                if value != first[kind][name]}  # fmt: skip

    def of_samples(name: str, *others: str) -> set[str]:
        return {f"{kind}: {name}" for kind in ("frechet_distance", "kid", "mmd", "precision", "recall", *others)}

    first = conditions()
    fewer = of_samples("real clips") | of_samples("protocol", "adherence")
    too_few = {f"{kind}: {name}" for kind in ("precision", "recall") for name in ("real clips", "protocol")}
    assert differ(conditions(real_clips=3)) == fewer - too_few
    assert differ(conditions(features="random_network")) == of_samples("protocol", "adherence")
    assert differ(conditions(timestep_bands=2)) == {"held_out_loss: settings"}
    entries = read_json(paths.samples / "samples.json")
    write_json(paths.samples / "samples.json", [{**entry, "settings": {"steps": 7}} for entry in entries])
    assert differ(conditions()) == of_samples("sampling", "adherence")
    write_json(paths.samples / "samples.json", [{**entry, "arithmetic": "bf16"} for entry in entries])
    assert differ(conditions()) == of_samples("arithmetic", "adherence")
    for other in ({"seed": 1}, {"repeat": 1}, {"begins_as": "v3"}):
        write_json(paths.samples / "samples.json", [{**entry, **other} for entry in entries])
        assert differ(conditions()) == of_samples("prompts and seeds", "adherence")


@pytest.mark.slow
@pytest.mark.parametrize(("able", "said"), [(True, "bf16"), (False, "fp32")])
def test_a_loss_says_what_it_was_computed_in(
    project: Paths, tracked: Tracked, monkeypatch: pytest.MonkeyPatch, able: bool, said: str
) -> None:
    """A champion measured on one machine is not compared with a model measured on another whose numbers are others."""
    monkeypatch.setattr(ASKED, lambda: able)
    run(config(precision="bf16"), project)
    figures = read_json(project.evaluation)["figures"]
    assert figures["held_out_loss/base"]["conditions"]["arithmetic"] == said


@pytest.mark.slow
def test_samples_of_several_seeds_give_the_mean_of_their_sets(tmp_path: Path, tracked: Tracked) -> None:
    paths = write_project(tmp_path)
    entries = read_json(paths.samples / "samples.json")
    alone = []
    for one in (entries[:3], entries[3:]):
        write_json(paths.samples / "samples.json", one)
        alone.append(run(config(), paths))
    sets = [{**entry, "repeat": number // 3, "index": number % 3} for number, entry in enumerate(entries)]
    write_json(paths.samples / "samples.json", sets)
    found = run(config(), paths)
    figures = read_json(paths.evaluation)["figures"]
    for name in ("frechet_distance/random_network", "kid/random_network", "adherence/colour", "adherence/base/both"):
        values = [of_set[name] for of_set in alone]
        assert found[name] == pytest.approx(fmean(values), rel=1e-12)
        assert figures[name]["deviation"] == pytest.approx(stdev(values), abs=1e-12)
        assert figures[name]["parts"] == "2 sets"
        assert tracked.metrics[f"{name}/deviation"] == figures[name]["deviation"]
    assert figures["held_out_loss/base"]["deviation"] is None
    assert "2 of 1 repeats" in figures["adherence/colour"]["conditions"]["protocol"]
    assert "3 samples" not in figures["adherence/colour"]["conditions"]["protocol"]  # a dataset of one's own has any


@pytest.mark.slow
def test_samples_of_other_weights_are_refused(tmp_path: Path, tracked: Tracked) -> None:
    paths = write_project(tmp_path)
    save_transformer(paths.base, drawn(WaltTransformer(BASE), 9))
    with pytest.raises(CorruptArtifactError, match=r"00000\.mp4 was made by another base .* run `walt sample` again"):
        run(config(), paths)
    assert tracked.metrics == {}


def test_a_video_that_was_put_in_the_place_of_a_sample_is_refused(tmp_path: Path, tracked: Tracked) -> None:
    """Real clips among the samples would make any model look good."""
    for kind in ("lossless_file", "base_lossless_file"):
        paths = write_project(tmp_path / kind)
        entries = read_json(paths.samples / "samples.json")
        (paths.samples / entries[0][kind]).write_bytes((paths.samples / entries[1][kind]).read_bytes())
        with pytest.raises(CorruptArtifactError, match=r"00000\.mp4: it was changed after it was made: run `walt sam"):
            run(config(), paths)
    assert tracked.metrics == {}


@pytest.mark.slow
def test_the_video_without_loss_is_measured(tmp_path: Path, tracked: Tracked) -> None:
    paths = write_project(tmp_path)
    before = run(config(), paths)
    for file in [*paths.samples.glob("*.mp4"), *paths.samples.glob("base/*.mp4")]:
        file.write_bytes(b"what a player takes")
    assert run(config(), paths) == before


def test_losses_are_kept_when_what_follows_fails(
    project: Paths, tracked: Tracked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise StorageError("the disk is gone")

    monkeypatch.setattr(evaluate, "measure_protocol", fails)
    with pytest.raises(StorageError, match="gone"):
        run(config(), project)
    assert tracked.metrics["held_out_loss/base"] > 0


@pytest.mark.slow
def test_without_latents_there_are_no_losses(tmp_path: Path, tracked: Tracked) -> None:
    paths = write_project(tmp_path)
    rmtree(paths.latents)
    leave_out(paths.latents, "x")
    assert not any(name.startswith("held_out_loss") for name in run(config(), paths))
    assert "latents" in read_json(paths.evaluation)["details"]["held_out_loss"]["left_out"]


@pytest.mark.slow
def test_details(project: Paths, tracked: Tracked) -> None:
    run(config(), project)
    details = read_json(project.evaluation)["details"]
    assert details["held_out_loss"]["base"] == {"videos": 1}
    frechet = details["sets"]
    assert (frechet["real_clips"], frechet["held_out_clips"], frechet["samples"]) == (4, 1, 6)
    assert "with fewer than 256 a Fréchet distance is uncertain" in frechet["remark"]
    first = details["adherence"]["videos"]["00000.mp4"]
    assert first["prompt"] == PROMPTS[0]
    assert first["colour_matches"] is False
    assert details["adherence"]["base"]["00000.mp4"]["colour_matches"] is True


@pytest.mark.slow
def test_clips_of_one_recording_and_samples_of_one_prompt_are_drawn_together(tmp_path: Path, tracked: Tracked) -> None:
    paths = write_project(tmp_path)
    entries = read_json(paths.samples / "samples.json")

    def found() -> tuple[dict[str, Figure], dict[str, Any]]:
        run(config(real_clips=5), paths)
        written = read_json(paths.evaluation)
        return {name: Figure.from_json(value) for name, value in written["figures"].items()}, written["details"]

    alone, _ = found()
    write_recordings(paths, {"v0": "a", "v3": "a"})  # of five clips
    by_recording, details = found()
    changed = {"frechet_distance/random_network", "frechet_distance/motion", "kid/random_network",
               "mmd/random_network", "recall/random_network"}  # fmt: skip
    assert {name: figure.independent for name, figure in by_recording.items() if figure.independent} == dict.fromkeys(
        changed, 4
    )
    assert by_recording["kid/random_network"].replicates != alone["kid/random_network"].replicates
    assert details["sets"]["recordings"] == 4
    assert all(by_recording[name].value == alone[name].value for name in alone)
    again = [{**entry, "prompt": entries[number // 2]["prompt"]} for number, entry in enumerate(entries)]
    write_json(paths.samples / "samples.json", again)
    by_prompt, details = found()
    assert details["sets"]["groups_of_samples"] == 3
    assert by_prompt["adherence/base/colour"].independent == 3
    assert by_prompt["adherence/colour"].conditions["drawn together"]
    assert by_prompt["held_out_loss/base"] == alone["held_out_loss/base"]


@pytest.mark.slow
def test_samples_are_tracked(project: Paths, tracked: Tracked) -> None:
    run(config(), project)
    assert tracked.evaluation == read_json(project.evaluation)["sha256"], "by which a promotion knows it"
    assert {"evaluation.json", "samples/grid.png", "samples/00005.mp4", "samples/base/00005.mp4"} <= set(
        tracked.artifacts
    )


@pytest.mark.slow
def test_same_inputs_same_bytes(project: Paths, tracked: Tracked) -> None:
    run(config(), project)
    first = project.evaluation.read_bytes()
    run(config(), project)
    assert project.evaluation.read_bytes() == first


@pytest.mark.slow
def test_a_dataset_without_adherence_and_without_held_out_clips(tmp_path: Path, tracked: Tracked) -> None:
    paths = write_project(tmp_path)
    for folder in (paths.clips, paths.latents):
        write_clip_rows(folder, [clip_row(row.key, row.kind, "train", row.shard) for row in ROWS])
    descriptor = (REPOSITORY / "datasets/shapes.yaml").read_text().replace("adherence: shapes", "adherence: null")
    (tmp_path / "other.yaml").write_text(descriptor)
    plain = config().model_copy(update={"dataset": DatasetConfig(descriptor="other.yaml", path=".")})
    assert set(run(plain, paths)) == OF_SETS
    details = read_json(paths.evaluation)["details"]
    assert "no adherence check" in details["adherence"]["left_out"]
    assert details["held_out_loss"]["base"]["left_out"] == "nothing held out"
    assert details["sets"]["held_out_clips"] == 0


@pytest.mark.slow
def test_one_sample_has_no_covariance(tmp_path: Path, tracked: Tracked) -> None:
    paths = write_project(tmp_path)
    write_json(paths.samples / "samples.json", read_json(paths.samples / "samples.json")[:1])
    assert "frechet_distance/random_network" not in run(config(), paths)
    assert "two clips" in read_json(paths.evaluation)["details"]["sets"]["left_out"]


def test_errors_before_work(tmp_path: Path, project: Paths, tracked: Tracked) -> None:
    with pytest.raises(StorageError, match=r"samples\.json"):
        run(config(), Paths(tmp_path))
    with pytest.raises(ConfigurationError, match=r"networks\.i3d\.path"):
        run(config(features="i3d", networks={"i3d": NetworkFile(path="absent.pt", sha256="0" * 64)}), project)
    network = tmp_path / "i3d.pt"
    torch.jit.save(torch.jit.script(NeedsTenFrames()), str(network))
    with pytest.raises(
        ConfigurationError,
        match=r"^evaluate: i3d cannot measure clips of 5 frames of 32x32: .*Kernel size: .10 x",
    ):
        run(
            config(features="i3d", networks={"i3d": NetworkFile(path=str(network), sha256=sha256_file(network))}),
            project,
        )
    assert tracked.metrics == {}


@pytest.mark.slow
def test_the_held_out_loss_is_taken_with_the_stated_caption(tmp_path: Path, tracked: Tracked) -> None:
    paths = write_project(tmp_path)
    texts = {name: _text(number) for number, name in enumerate(("null", "short", "dense"))}

    def loss(caption: str | None, *names: str) -> tuple[float, dict[str, object]]:
        """Of the held-out clip, which has captions with these names; the other clips have a short one."""
        own = {row.key: names if row.split == "held_out" else ("short",) for row in ROWS}
        clips = {key: [Caption(name, name) for name in kinds] for key, kinds in own.items()}
        write_text(
            paths.text, clips, {name: texts[name] for name in ("short", "dense")}, texts["null"], TEXT.max_tokens
        )
        written = run(config(caption=caption), paths)
        return written["held_out_loss/base"], read_json(paths.evaluation)["details"]["held_out_loss"]["base"]

    short, dense = loss(None, "short")[0], loss(None, "dense")[0]
    assert short != dense
    assert loss(None, "short", "dense") == (short, {"videos": 1}), "the first"
    assert loss("dense", "short", "dense") == (dense, {"videos": 1})
    assert loss("short", "dense", "short") == (short, {"videos": 1})
    assert loss("short", "dense") == (
        dense, {"videos": 1, "remark": "1 of 1 clips have no caption 'short': the first of each is taken"}
    )  # fmt: skip
    with pytest.raises(
        ConfigurationError, match=r"^evaluate\.caption: no caption is called 'shrt'; did you mean 'short'"
    ):
        loss("shrt", "short", "dense")


def _text(seed: int) -> Tensor:
    return torch.randn(TEXT.max_tokens, BASE.text_width or 0, generator=torch.Generator().manual_seed(seed)).half()
