"""The stage encode-video: what it makes, what it reuses, what it refuses, and that a killed run changes no byte."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load as load_safetensors

from tests.support.package_copy import copy_package, edit
from tests.support.tiny_clips import ROWS, clip_row, sample, write_clips
from tests.support.tiny_models import AUTOENCODER
from tests.support.traced_files import files_run
from tests.support.video_project import config, make_video_project, write_autoencoder
from walt.autoencoder.io import load_autoencoder, save_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.core.digests import sha256_file
from walt.core.errors import CorruptArtifactError, RejectLimitError, StorageError
from walt.core.paths import Paths
from walt.data import shards
from walt.data.clip_dataset import ClipDataset
from walt.data.clip_table import ClipRow, read_clip_rows
from walt.data.clip_table_writer import write_clip_rows
from walt.data.latent_dataset import LatentDataset
from walt.data.shards import ShardReader, read_index, write_index, write_shard
from walt.project.code_identity import code_dependencies
from walt.stages import encode_video
from walt.stages.encode_video import STAGE, run

SIZES = ["16x16", "32x32"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paths, dict[str, Any]]:
    """A project after the stage; not to be changed."""
    paths = make_video_project(tmp_path_factory.mktemp("finished"))
    return paths, run(config(), paths)


@pytest.fixture
def paths(finished: tuple[Paths, dict[str, Any]], tmp_path: Path) -> Paths:
    """A copy of the finished project."""
    shutil.copytree(finished[0].root, tmp_path / "project")
    return Paths(tmp_path / "project")


def content(directory: Path) -> dict[str, str]:
    return {str(file.relative_to(directory)): sha256_file(file) for file in directory.rglob("*") if file.is_file()}


def test_without_normalisation_latents_are_as_they_were_encoded(paths: Paths) -> None:
    normalized = {key: latents_of(paths, key) for key in ("v0", "i0")}
    assert run(config(normalize=False), paths)["reused"] == 0
    scale = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(-1, 1, 1, 1)
    for key, latents in normalized.items():
        torch.testing.assert_close(latents_of(paths, key), latents * scale + 0.5, atol=1e-2, rtol=1e-2)


def latents_of(paths: Paths, key: str) -> torch.Tensor:
    """(c, t, h, w) float32 of the smallest size."""
    return load_safetensors(ShardReader(paths.latents / "16x16")[key]["safetensors"])["latents"].float()


def test_every_clip_has_latents_in_every_size(finished: tuple[Paths, dict[str, Any]]) -> None:
    paths, figures = finished
    assert figures == {"clips": 7, "sizes": SIZES, "tars": 4, "reused": 0, "encoded": 14, "rejected": []}
    assert read_clip_rows(paths.latents) == list(ROWS)
    for side, cells in ((16, 2), (32, 4)):
        directory = f"{side}x{side}"
        assert ShardReader(paths.latents / directory).keys == ShardReader(paths.clips / directory).keys
        names = [record.shard for record in read_index(paths.latents / directory).records]
        assert names == ["latents-000000.tar", "latents-000001.tar"]
        dataset = LatentDataset(paths.latents, (side, side), "train")
        assert dataset.latents(dataset.video_keys).shape == (4, 4, 2, cells, cells)
        assert dataset.latents(dataset.image_keys).shape == (2, 4, 1, cells, cells)


def test_latents_are_the_normalised_means_of_the_encoder(finished: tuple[Paths, dict[str, Any]]) -> None:
    paths, _ = finished
    model, statistics = load_autoencoder(paths.autoencoder)
    for keys, frames in ((("v0", "v2", "v4"), 5), (("i0", "i1"), 1)):
        video = ClipDataset(paths.clips, (32, 32), "train").frames(keys, [0] * len(keys), frames)
        with torch.no_grad():
            expected = statistics.normalize(model.encode(video)[0])
        found = LatentDataset(paths.latents, (32, 32), "train").latents(keys)
        assert torch.allclose(found, expected, atol=2e-3)
        assert expected.abs().max() > 0.1


@pytest.mark.slow
@pytest.mark.usefixtures("bf16_on_any_processor")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_how_much_is_encoded_at_once_changes_no_byte(precision: str, tmp_path: Path) -> None:
    """All clips together, one by one, each in pieces of time; and it is not another encoder."""
    found = []
    for megapixels in (100.0, 0.00128, 1e-6):
        paths = make_video_project(tmp_path / str(megapixels))
        run(config(megapixels, precision=precision), paths)
        found.append(content(paths.latents))
    assert found[0] == found[1] == found[2]
    assert run(config(0.5, precision=precision), paths)["reused"] == 4


@pytest.mark.slow
@pytest.mark.usefixtures("bf16_on_any_processor")
def test_bf16_is_close_to_fp32(finished: tuple[Paths, dict[str, Any]], tmp_path: Path) -> None:
    paths = make_video_project(tmp_path)
    run(config(precision="bf16"), paths)
    found, expected = (LatentDataset(each.latents, (32, 32), "train") for each in (paths, finished[0]))
    exact = expected.latents(expected.video_keys)
    difference = found.latents(found.video_keys) - exact
    # norms over four channels of a flat picture amplify rounding: a trained network stays within about 1 %
    assert 0 < difference.square().mean().sqrt() < 0.15 * exact.square().mean().sqrt()


def test_a_second_run_reuses_every_tar(paths: Paths) -> None:
    before = content(paths.root)
    stamps = {file: file.stat().st_ino for file in paths.latents.rglob("*.tar")}
    assert run(config(), paths)["reused"] == 4
    assert content(paths.root) == before
    assert {file: file.stat().st_ino for file in paths.latents.rglob("*.tar")} == stamps


@pytest.mark.slow
def test_from_scratch_gives_the_same_bytes(finished: tuple[Paths, dict[str, Any]], tmp_path: Path) -> None:
    other = make_video_project(tmp_path)
    run(config(), other)
    assert content(other.latents) == content(finished[0].latents)


_KILLED = """
import os, signal, sys
from pathlib import Path
from walt.core.paths import Paths
from walt.stages import encode_video
writes = []
def kill_in_the_middle(path, samples, write=encode_video.write_shard):
    writes.append(path)
    def until_killed():
        for number, sample in enumerate(samples):
            yield sample
            if len(writes) == 2 and number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
    return write(path, until_killed())
encode_video.write_shard = kill_in_the_middle
config = encode_video.Config.model_validate_json(sys.argv[2])
encode_video.run(config, Paths(Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_killed_in_the_middle_of_a_tar_the_rerun_gives_the_same_bytes(
    finished: tuple[Paths, dict[str, Any]], tmp_path: Path
) -> None:
    paths = make_video_project(tmp_path / "project")
    root = Path(__file__).resolve().parents[2]
    arguments = [sys.executable, "-c", _KILLED, str(paths.root), config().model_dump_json()]
    killed = subprocess.run(arguments, cwd=root, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(paths.latents.rglob("*.tar"))) == 1
    assert len(list(paths.latents.rglob("*.tmp"))) == 1
    assert not list(paths.latents.rglob("*.parquet"))
    assert run(config(), paths)["reused"] == 1
    assert content(paths.latents) == content(finished[0].latents)


@pytest.mark.slow
@pytest.mark.parametrize("at", ["index", "rows"])
def test_killed_before_the_tables_the_rerun_gives_the_same_bytes(
    finished: tuple[Paths, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    paths = make_video_project(tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(encode_video, "write_index" if at == "index" else "write_clip_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        run(config(), paths)
    with pytest.raises(StorageError):
        LatentDataset(paths.latents, (16, 16), "train")
    monkeypatch.undo()
    assert run(config(), paths)["reused"] == 4
    assert content(paths.latents) == content(finished[0].latents)


def test_one_changed_clip_tar_remakes_only_its_latents(paths: Paths) -> None:
    before = content(paths.latents)
    folder = paths.clips / "16x16"
    changed_tar = write_shard(folder / "clips-000001.tar", [sample("v3", 16), sample("v4", 16)])
    write_index(folder, "changed", [read_index(folder).records[0], changed_tar])
    write_clip_rows(paths.clips, [row for row in ROWS if row.key != "i1"])
    figures = run(config(), paths)
    assert (figures["clips"], figures["reused"]) == (6, 3)
    after = content(paths.latents)
    changed = {name for name in after if after[name] != before[name]}
    assert {name for name in changed if name.endswith(".tar")} == {"16x16/latents-000001.tar"}
    assert LatentDataset(paths.latents, (16, 16), "train").image_keys == ("i0",)


def encoded_keys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of all clips that pass through the encoder from now on."""
    found: list[str] = []
    encode = encode_video.Encoder.encode

    def spy(self: encode_video.Encoder, clips: dict[str, Any]) -> dict[str, torch.Tensor]:
        found.extend(clips)
        return encode(self, clips)

    monkeypatch.setattr(encode_video.Encoder, "encode", spy)
    return found


_V5 = clip_row("v5", "video", "train", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "new"),
    [
        ((*ROWS, _V5), {"v5"}),
        (tuple(row for row in ROWS if row.key != "i1"), set()),
        (tuple(replace(row, shard=3 if row.shard == 1 else 0) for row in (*ROWS, _V5)), {"v5"}),  # 1 is above 3
        (tuple(replace(row, shard=0) for row in (*ROWS[:5], _V5)), {"v5"}),  # 0 is above 1
    ],
    ids=["added", "removed", "split", "joined"],
)
def test_only_new_clips_are_encoded_and_the_bytes_are_those_of_a_fresh_run(
    rows: tuple[ClipRow, ...], new: set[str], paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip is found again at its place in the tree of the tars, and above and below it."""
    fresh = make_video_project(tmp_path / "fresh")
    for each in (paths, fresh):
        shutil.rmtree(each.clips)
        write_clips(each.clips, rows)
    run(config(), fresh)
    encoded = encoded_keys(monkeypatch)
    assert run(config(), paths)["encoded"] == len(encoded)
    assert set(encoded) == new
    assert content(paths.latents) == content(fresh.latents)
    assert run(config(), paths)["reused"] == len(list(paths.latents.rglob("*.tar")))


@pytest.mark.parametrize("what", ["picture", "tar", "weights", "refused"])
def test_latents_of_something_else_are_not_taken_over(what: str, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (*ROWS, _V5)
    write_clips(paths.clips, rows)
    if what == "picture":  # another clip under the key that was v4's
        folder = paths.clips / "16x16"
        other = [("v4" if key == "v6" else key, members) for key, members in map(sample, ("v3", "v6", "v5"), [16] * 3)]
        write_index(folder, "changed", [read_index(folder).records[0], write_shard(folder / "clips-000001.tar", other)])
    elif what == "tar":
        (paths.latents / "16x16" / "latents-000001.tar").write_bytes(b"damaged")
    elif what == "weights":
        write_autoencoder(paths, seed=1)
    else:
        note = paths.work(STAGE) / "tars/16x16/latents-000001.tar.json"
        known = json.loads(note.read_text())
        known["items"].pop("v4")  # as of a clip whose latents were not finite
        note.write_text(json.dumps(known))
    encoded = encoded_keys(monkeypatch)
    run(config(), paths)
    expected = {"picture": ["v4", "v5", "v5"], "tar": ["i1", "v3", "v4", "v5", "v5"], "refused": ["v4", "v5", "v5"]}
    assert sorted(encoded) == expected.get(what, sorted([row.key for row in rows] * 2))


@pytest.mark.parametrize("what", ["weights", "last bit", "statistics", "precision", "code"])
def test_another_encoder_remakes_everything(paths: Paths, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    indexes = {size: read_index(paths.latents / size).identity for size in SIZES}
    if what == "code":
        monkeypatch.setattr(encode_video, "code_digest", lambda module: "of other code")
    elif what == "last bit":  # of one weight
        model, statistics = load_autoencoder(paths.autoencoder)
        weight = next(model.parameters()).data.view(torch.int32)
        weight[(0,) * weight.ndim] ^= 1
        save_autoencoder(paths.autoencoder, model, statistics)
    else:
        write_autoencoder(paths, seed=what == "weights", mean=0.6 if what == "statistics" else 0.5)
    figures = run(config(precision="bf16" if what == "precision" else "fp32"), paths)
    assert figures["reused"] == 0
    changed = {size: read_index(paths.latents / size).identity != identity for size, identity in indexes.items()}
    assert set(changed.values()) == {what != "code"}  # other code, same bytes: what was trained on them stays fresh


@pytest.mark.slow
def test_the_code_of_every_function_on_the_way_is_part_of_the_identity(tmp_path: Path) -> None:
    paths = make_video_project(tmp_path)
    on_the_way = files_run(lambda: run(config(), paths))
    assert "walt/autoencoder/statistics.py" in on_the_way
    assert on_the_way <= set(code_dependencies("walt.stages.encode_video"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edited", "reused"), [("walt/autoencoder/model.py", 0), ("walt/core/log.py", 4), ("walt/autoencoder/losses.py", 4)]
)
def test_only_code_that_makes_latents_remakes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str, reused: int
) -> None:
    paths = make_video_project(tmp_path / "project")
    package = copy_package(tmp_path / "copy", monkeypatch)
    run(config(), paths)
    edit(package, edited)
    assert run(config(), paths)["reused"] == reused


def test_a_caption_or_split_does_not_remake_latents(paths: Paths) -> None:
    index = paths.latents / "16x16" / shards.INDEX_NAME
    before = sha256_file(index)
    moved = [clip_row(row.key, row.kind, "train", row.shard) for row in ROWS]
    write_clip_rows(paths.clips, moved)
    assert run(config(), paths)["reused"] == 4
    assert LatentDataset(paths.latents, (16, 16), "train").video_keys == ("v0", "v1", "v2", "v3", "v4")
    assert sha256_file(index) != before  # a new split is a new training set


@pytest.mark.slow
def test_latents_are_where_their_clips_are(tmp_path: Path) -> None:
    """With buckets a size holds some clips only: its latents are of those, and readers expect no others."""
    paths = make_video_project(tmp_path)
    rows = tuple(replace(row, sizes="16x16" if row.shard == 1 else None) for row in ROWS)
    shutil.rmtree(paths.clips)
    write_clips(paths.clips, rows)
    figures = run(config(), paths)
    assert (figures["clips"], figures["tars"]) == (7, 4)
    assert read_clip_rows(paths.latents) == list(rows)
    assert set(LatentDataset(paths.latents, (16, 16), "train").video_keys) == {"v0", "v1", "v2", "v4"}
    assert set(LatentDataset(paths.latents, (32, 32), "train").video_keys) == {"v0", "v1", "v2"}


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_tar_is_made_again(paths: Paths, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(paths.latents)
    tar = paths.latents / "32x32" / "latents-000001.tar"
    data = bytearray(tar.read_bytes())
    if damage == "remove":
        tar.unlink()
    else:
        data[700] ^= 1
        tar.write_bytes(data if damage == "flip" else data[:-600])
    assert run(config(), paths)["reused"] == 3
    assert content(paths.latents) == before
    assert "latents-000001.tar" in capsys.readouterr().out


def test_what_no_longer_belongs_is_removed(paths: Paths) -> None:
    shutil.rmtree(paths.clips / "32x32")
    for stray in ("stray.tar", "16x16/latents-000009.tar", "16x16/latents-000000.tar.77.tmp"):
        (paths.latents / stray).write_bytes(b"stray")
    assert run(config(), paths)["sizes"] == ["16x16"]
    names = {"clips.parquet", "16x16/shards.parquet", "16x16/latents-000000.tar", "16x16/latents-000001.tar"}
    assert content(paths.latents).keys() == names
    assert {str(file.relative_to(paths.work(STAGE))) for file in paths.work(STAGE).rglob("*.json")} == {
        "tars/16x16/latents-000000.tar.json",
        "tars/16x16/latents-000001.tar.json",
    }


@pytest.mark.slow
def test_latents_that_are_not_finite_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = make_video_project(tmp_path)
    encode = CausalAutoencoder.encode

    def poisoned(self: CausalAutoencoder, video: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_variance = encode(self, video)
        black = video.flatten(1).mean(1) < -0.77  # i0, at both sizes
        bright = (video[:, 0, 0, 0, 0] > -0.72) & (video.shape[-1] == 32)  # v4, at one size
        mean[black] = float("nan")
        mean[bright] = 1e6  # finite, but not in float16
        return mean, log_variance

    monkeypatch.setattr(CausalAutoencoder, "encode", poisoned)
    figures = run(config(), paths)
    refused = {(item["size"], item["key"]) for item in figures["rejected"]}
    assert refused == {("16x16", "i0"), ("32x32", "i0"), ("32x32", "v4")}
    assert [row.key for row in read_clip_rows(paths.latents)] == ["v0", "v1", "v2", "v3", "i1"]
    assert "i0" not in ShardReader(paths.latents / "16x16")
    assert "i0 refused" in capsys.readouterr().out
    assert LatentDataset(paths.latents, (16, 16), "train").video_keys == ("v0", "v1", "v2")
    again = run(config(), paths)
    assert again == {**figures, "reused": 4, "encoded": 0}  # remembered, not forgotten, by a run that reuses the tars


@pytest.mark.slow
def test_nothing_finite_is_status_3(tmp_path: Path) -> None:
    paths = make_video_project(tmp_path)
    torch.manual_seed(0)
    statistics = LatentStatistics(torch.full((4,), float("nan")), torch.ones(4), 1)
    save_autoencoder(paths.autoencoder, CausalAutoencoder(AUTOENCODER), statistics)
    with pytest.raises(RejectLimitError, match="7 clips") as error:
        run(config(), paths)
    assert error.value.exit_status == 3


def test_damaged_clips_are_status_5(tmp_path: Path) -> None:
    paths = make_video_project(tmp_path)
    tar = paths.clips / "16x16" / "clips-000001.tar"
    data = bytearray(tar.read_bytes())
    data[1000] ^= 8
    tar.write_bytes(data)
    with pytest.raises(CorruptArtifactError, match=r"clips-000001\.tar") as error:
        run(config(), paths)
    assert error.value.exit_status == 5


def test_a_clip_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    paths = make_video_project(tmp_path)
    folder = paths.clips / "16x16"
    write_index(folder, "id", [write_shard(folder / "clips-000000.tar", [("v0", {"mp4": b"no video"})])])
    with pytest.raises(CorruptArtifactError, match=r"16x16/clips-000000.tar: key 'v0'"):
        run(config(), paths)


def test_without_an_autoencoder_or_clips_it_is_status_4(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write_clips(paths.clips)
    with pytest.raises(StorageError, match="autoencoder"):
        run(config(), paths)
    write_autoencoder(paths)
    shutil.rmtree(paths.clips)
    with pytest.raises(StorageError, match="clips"):
        run(config(), paths)
