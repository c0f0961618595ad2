"""Latents for a training loop of one's own: the batches of training, resumable, shared by ranks."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch.utils.data import DataLoader

from tests.support.tiny_clips import clip_row
from tests.support.tiny_latents import batch_maker, write_latents
from tests.support.tiny_models import BASE
from walt.core.errors import ConfigurationError, StorageError
from walt.data import latents
from walt.data.clip_table_writer import write_clip_rows
from walt.data.latents import LatentBatches
from walt.data.shards import write_index, write_shard
from walt.data.text_tables import write_members

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"v1": ("short", "long"), "v4": ("short", "long")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    write_latents(root / "data", names=NAMES)
    return root


def same(one: dict[str, object], other: dict[str, object]) -> bool:
    assert one.keys() == other.keys()
    pairs = [(one[name], other[name]) for name in one]
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)  # type: ignore[arg-type]


def test_a_batch_is_what_training_takes(project: Path) -> None:
    batches = LatentBatches(project, BASE.resolution, 4, dtype=torch.float32, seed=0, prefetch=0)
    maker = batch_maker(project / "data", BASE, names=NAMES, write=False)
    for step in (0, 1, 7):
        found, expected = batches.batch(step), maker.videos(step, 4)
        assert torch.equal(found["latents"], expected.latents)
        assert expected.text is not None
        assert torch.equal(found["text"], expected.text)
        assert expected.text_mask is not None
        assert torch.equal(found["text_mask"], expected.text_mask)


def test_what_is_stored_comes_as_it_is(project: Path) -> None:
    batch = next(iter(LatentBatches(project, BASE.resolution, 3)))
    assert batch["latents"].dtype == batch["text"].dtype == torch.float16
    assert batch["latents"].shape == (3, 4, 2, 2, 2)
    assert batch["text"].shape == (3, 8, 16)
    numbers = [int(key[1:]) for key in batch["keys"]]
    assert batch["latents"][:, 0, 0, 0, 0].tolist() == numbers
    assert batch["text"][:, 0, 0].floor().tolist() == numbers


@pytest.mark.parametrize("prefetch", [0, 2])
def test_it_goes_on_where_it_was(project: Path, prefetch: int) -> None:
    whole = list(LatentBatches(project, BASE.resolution, 4, steps=9, prefetch=prefetch))
    assert len(whole) == 9
    first = LatentBatches(project, BASE.resolution, 4, steps=9, prefetch=prefetch)
    begun = list(islice(first, 5))
    rest = LatentBatches(project, BASE.resolution, 4, steps=9, prefetch=prefetch)
    rest.load_state_dict(first.state_dict())
    assert rest.state_dict() == {"step": 5}
    assert all(same(a, b) for a, b in zip([*begun, *rest], whole, strict=True))


def test_ranks_share_a_batch(project: Path) -> None:
    (whole,) = LatentBatches(project, BASE.resolution, 5, steps=1)
    shares = [next(iter(LatentBatches(project, BASE.resolution, 5, rank=rank, world_size=2))) for rank in (0, 1)]
    for name in ("latents", "text", "text_mask"):
        assert all(torch.equal(share[name], whole[name][rank::2]) for rank, share in enumerate(shares))


def test_members_are_drawn_by_weight(project: Path) -> None:
    write_members(project / "data/text", [(f"v{i}", "a" if i < 2 else "b") for i in range(6)])
    batches = LatentBatches(project, BASE.resolution, 8, member_weights={"a": 3, "b": 1}, steps=50, prefetch=0)
    drawn = [key for batch in batches for key in batch["keys"]]
    assert sum(key in ("v0", "v1") for key in drawn) / len(drawn) == pytest.approx(0.75, abs=0.08)
    again = LatentBatches(project, BASE.resolution, 8, member_weights={"a": 3, "b": 1}, rank=1, world_size=2)
    assert again.batch(40)["keys"] == batches.batch(40)["keys"][1::2]
    with pytest.raises(ConfigurationError, match="member_weights: no weight for the member 'b'"):
        LatentBatches(project, BASE.resolution, 8, member_weights={"a": 3})


def write_shapes(root: Path, counts: dict[tuple[int, int], int]) -> None:
    """Latents of clips that are stored in one of several shapes each, as ingest's buckets leave them."""
    rows = []
    for (height, width), count in counts.items():
        folder = root / "data/latents" / f"{height}x{width}"
        keys = [f"{height}x{width}-{i}" for i in range(count)]
        tensors = {key: torch.full((4, 2, height // 8, width // 8), float(i)).half() for i, key in enumerate(keys)}
        samples = [(key, {"safetensors": save({"latents": tensor})}) for key, tensor in tensors.items()]
        write_index(folder, "x", [write_shard(folder / "latents-000000.tar", samples)])
        rows += [replace(clip_row(key, "video", "train", 0), sizes=folder.name) for key in keys]
    write_clip_rows(root / "data/latents", rows)


def test_each_batch_has_one_of_several_shapes(tmp_path: Path) -> None:
    counts = {(16, 24): 30, (24, 16): 10, (16, 16): 20}
    write_shapes(tmp_path, counts)
    batches = LatentBatches(tmp_path, [*counts], 4, steps=600, prefetch=0)
    drawn: dict[tuple[int, int], list[str]] = {size: [] for size in counts}
    for step, batch in enumerate(batches):
        height, width = (8 * side for side in batch["latents"].shape[3:])
        assert {key.rpartition("-")[0] for key in batch["keys"]} == {f"{height}x{width}"}, "of one shape"
        drawn[height, width] += batch["keys"]
        if step in (7, 300):
            fresh = LatentBatches(tmp_path, [*reversed(counts)], 4, rank=1, world_size=3, prefetch=0)
            assert fresh.batch(step)["keys"] == batch["keys"][1::3], "a function of the step, for any ranks"
    for size, count in counts.items():
        assert len(drawn[size]) / 2400 == pytest.approx(count / 60, abs=0.06)
        epochs = [drawn[size][start : start + count] for start in range(0, len(drawn[size]) - count, count)]
        assert len(epochs) > 20
        assert all(len(set(epoch)) == count for epoch in epochs), "each clip once in an epoch of its shape"
    single = LatentBatches(tmp_path, [(16, 24)], 4)
    assert single.batch(9)["keys"] == LatentBatches(tmp_path, (16, 24), 4).batch(9)["keys"], "one of one is that one"


def test_a_shape_with_few_clips_comes_nevertheless(tmp_path: Path) -> None:
    turns = latents._turns({"many": 10**9, "few": 3})
    assert 0 < turns.shares()["few"] < 1e-4


@pytest.mark.parametrize("sizes", [[], [(16, 24), (16, 24)]])
def test_sizes_are_checked(tmp_path: Path, sizes: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="one size, or several that differ"):
        LatentBatches(tmp_path, sizes, 4)


def test_images_and_clips_without_text(project: Path) -> None:
    batch = next(iter(LatentBatches(project, BASE.resolution, 2, kind="image", text=False)))
    assert batch["latents"].shape == (2, 4, 1, 2, 2)
    assert batch.keys() == {"keys", "latents"}


def test_captions_are_drawn_by_weight(project: Path) -> None:
    batches = LatentBatches(project, BASE.resolution, 6, caption_weights={"short": 0}, prefetch=0)
    texts = {key: text for batch in islice(batches, 3) for key, text in zip(batch["keys"], batch["text"], strict=True)}
    assert texts["v1"][0, 0] == 1.125, "the second caption"
    assert texts["v2"][0, 0] == 2


def test_it_is_a_torch_dataset(project: Path) -> None:
    dataset = LatentBatches(project, BASE.resolution, 2, steps=3)
    assert len([*DataLoader(dataset, batch_size=None)]) == 3
    again = LatentBatches(project, BASE.resolution, 2, steps=3)
    with pytest.raises(RuntimeError, match="num_workers=0"):
        next(iter(DataLoader(again, batch_size=None, num_workers=1, multiprocessing_context="fork")))


def test_what_is_not_there_is_refused(project: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no video in the split held_out"):
        LatentBatches(project, BASE.resolution, 2, split="held_out")
    with pytest.raises(ValueError, match="rank 2 of 2"):
        LatentBatches(project, BASE.resolution, 2, rank=2, world_size=2)
    with pytest.raises(StorageError, match="no such file"):
        LatentBatches(tmp_path, BASE.resolution, 2)


def test_the_page_s_lines_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(from walt\.data import latents\n.*?)```", page, re.DOTALL)
    monkeypatch.chdir(project)
    monkeypatch.setattr(latents, "LatentBatches", lambda *a, **k: LatentBatches(project, BASE.resolution, 4, steps=2))
    seen: list[torch.Size] = []
    exec(lines, {"train_step": lambda latent, text, mask: seen.append(latent.shape)})
    assert seen == [(4, 4, 2, 2, 2)] * 2


@pytest.mark.slow
def test_importing_it_is_light() -> None:
    code = "from walt.data import latents; import sys; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = {"transformers", "mlflow", "prefect", "webdataset", "ray", "av", "pydantic", "pandas", "rich", "typer"}
    assert not heavy & set(loaded.stdout.split())
