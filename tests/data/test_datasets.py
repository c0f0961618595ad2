"""Clips, latents and text by key; what is missing, misshapen or not finite is named."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from tests.support.text_folder import text_sample, write_text
from tests.support.tiny_clips import ROWS, clip_row, picture, sample, write_clips
from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.verified_files import Stamp
from walt.data import clip_dataset, keyed_dataset
from walt.data.captions import Caption
from walt.data.clip_dataset import ClipDataset
from walt.data.clip_table import CLIPS_TABLE, read_clip_rows
from walt.data.clip_table_writer import write_clip_rows
from walt.data.latent_dataset import LatentDataset
from walt.data.shards import Sample, write_index, write_shard
from walt.data.text_dataset import TextDataset
from walt.data.text_tables import caption_id, write_captions

SIZE = (16, 16)


def write_samples(directory: Path, samples: list[tuple[str, Sample]]) -> Path:
    write_index(directory, "id", [write_shard(directory / "x-000000.tar", samples)])
    return directory


def member(**tensors: Tensor) -> Sample:
    return {"safetensors": save(tensors)}


# clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("clips")
    write_clips(directory)
    return directory


def test_clips_have_the_right_frames_and_range(clips: Path) -> None:
    dataset = ClipDataset(clips, SIZE, "train")
    frames = dataset.frames(["v4", "v0"], [2, 0], 3)
    assert frames.shape == (2, 3, 3, 16, 16)
    assert frames.dtype == torch.float32
    spans = np.stack([picture("v4", 16)[2:5], picture("v0", 16)[:3]])
    expected = torch.from_numpy(spans).permute(0, 4, 1, 2, 3) / 127.5 - 1
    assert torch.allclose(frames, expected, atol=4 / 127.5)  # the colour conversion rounds
    image = dataset.frames(["i1"], [0], 1)
    assert image.shape == (1, 3, 1, 16, 16)
    assert torch.allclose(image[0, :, 0], torch.from_numpy(picture("i1", 16)[0]).permute(2, 0, 1) / 127.5 - 1)


def test_keys_come_from_the_table(clips: Path) -> None:
    train, held_out = ClipDataset(clips, SIZE, "train"), ClipDataset(clips, (32, 32), "held_out")
    assert train.video_keys == ("v0", "v1", "v2", "v4")
    assert train.image_keys == ("i0", "i1")
    assert held_out.video_keys == ("v3",)
    assert held_out.image_keys == ()
    assert read_clip_rows(clips) == list(ROWS)


def test_spans_outside_a_clip_are_refused(clips: Path) -> None:
    dataset = ClipDataset(clips, SIZE, "train")
    for start, count in ((-1, 1), (1, 5), (5, 1)):
        with pytest.raises(ValueError, match="v0"):
            dataset.frames(["v0"], [start], count)


def test_the_cache_is_bounded_and_changes_nothing(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    decode = clip_dataset.decode_members
    monkeypatch.setattr(clip_dataset, "decode_members", lambda members: decoded.append(1) or decode(members))
    one_clip = 5 * 16 * 16 * 3
    batches = []
    for limit, expected in ((0, 6), (one_clip, 5), (2 * one_clip, 4), (3 * one_clip, 3)):
        dataset = ClipDataset(clips, SIZE, "train", cache_bytes=limit)
        decoded.clear()
        for _ in range(2):
            batches.append(dataset.frames(["v0", "v1", "v2"], [0, 0, 0], 5))
        assert len(decoded) == expected
    assert all(torch.equal(batch, batches[0]) for batch in batches)


def test_a_missing_table_or_key_is_named(tmp_path: Path) -> None:
    write_clips(tmp_path)
    write_clip_rows(tmp_path, [*ROWS, clip_row("v9", "video", "train", 1)])
    with pytest.raises(CorruptArtifactError, match=r"16x16.*'v9'"):
        ClipDataset(tmp_path, SIZE, "train")
    (tmp_path / CLIPS_TABLE).write_bytes(b"PAR1 and no more")
    with pytest.raises(CorruptArtifactError, match=CLIPS_TABLE):
        ClipDataset(tmp_path, SIZE, "train")
    (tmp_path / CLIPS_TABLE).unlink()
    with pytest.raises(StorageError, match=CLIPS_TABLE):
        ClipDataset(tmp_path, SIZE, "train")


def test_a_size_has_the_clips_that_are_stored_in_it(tmp_path: Path) -> None:
    rows = tuple(replace(row, sizes={"v1": "16x16", "i0": "16x16,32x32"}.get(row.key)) for row in ROWS)
    write_clips(tmp_path, rows)
    small, large = (ClipDataset(tmp_path, size, "train") for size in ((16, 16), (32, 32)))
    assert set(small.video_keys) == {"v0", "v1", "v2", "v4"}
    assert set(large.video_keys) == {"v0", "v2", "v4"}
    assert small.image_keys == large.image_keys == ("i0", "i1")
    write_clip_rows(tmp_path, ROWS)
    with pytest.raises(CorruptArtifactError, match=r"32x32.*'v1'"):
        ClipDataset(tmp_path, (32, 32), "train")


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"json": b"{}"}, "no mp4"),
        ({"mp4": b"no video"}, "Invalid data"),
        (sample("v0", 32)[1], r"\(32, 32\), expected \(16, 16\)"),
    ],
)
def test_a_clip_that_cannot_be_used_is_named(tmp_path: Path, members: Sample, problem: str) -> None:
    write_samples(tmp_path / "16x16", [("v0", members)])
    write_clip_rows(tmp_path, [clip_row("v0", "video", "train", 0)])
    with pytest.raises(CorruptArtifactError, match=rf"x-000000\.tar: key 'v0': .*{problem}"):
        ClipDataset(tmp_path, SIZE, "train").frames(["v0"], [0], 1)


# latents


def latent_dataset(directory: Path, samples: dict[str, Sample]) -> LatentDataset:
    write_samples(directory / "16x16", list(samples.items()))
    write_clip_rows(directory, [clip_row(key, "video" if key[0] == "v" else "image", "train", 0) for key in samples])
    return LatentDataset(directory, SIZE, "train")


def test_latents_are_float32_batches(tmp_path: Path) -> None:
    values = {key: torch.randn(4, 2 if key[0] == "v" else 1, 3, 3).half() for key in ("v0", "v1", "i0")}
    dataset = latent_dataset(tmp_path, {key: member(latents=value) for key, value in values.items()})
    for _ in range(2):  # read, then from memory
        batch = dataset.latents(["v1", "v0"])
        assert batch.dtype == torch.float32
        assert torch.equal(batch, torch.stack([values["v1"], values["v0"]]).float())
    assert dataset.latents(["i0"]).shape == (1, 4, 1, 3, 3)


@pytest.mark.parametrize(
    ("key", "bad", "problem"),
    [
        ("v1", member(latents=torch.zeros(4, 3, 3, 3).half()), r"\(4, 3, 3, 3\)"),
        ("v1", member(latents=torch.zeros(4, 3, 3).half()), r"\(4, 3, 3\)"),
        ("i0", member(latents=torch.zeros(4, 2, 3, 3).half()), "image"),
        ("v1", member(latents=torch.full((4, 2, 3, 3), float("nan")).half()), ".*not finite"),
        ("v1", member(latents=torch.full((4, 2, 3, 3), float("inf")).half()), ".*not finite"),
        ("v1", member(latents=torch.zeros(4, 2, 3, 3)), r"latents of torch\.float32, not of float16"),
        (
            "v1",
            member(latents=torch.zeros(4, 2, 3, 3).bfloat16()),
            r"of torch\.bfloat16, expected .* of torch\.float16",
        ),
        ("v1", member(mean=torch.zeros(4, 2, 3, 3).half()), r"tensors \['mean'\]"),
        ("v1", {"safetensors": b"\x80\x04 a pickle"}, "x-000000"),
        ("v1", {"json": b"{}"}, "no safetensors"),
    ],
)
def test_bad_latents_are_named(tmp_path: Path, key: str, bad: Sample, problem: str) -> None:
    dataset = latent_dataset(tmp_path, {"v0": member(latents=torch.zeros(4, 2, 3, 3).half()), key: bad})
    dataset.latents(["v0"])
    with pytest.raises(CorruptArtifactError, match=rf"x-000000\.tar: key '{key}'.*{problem}|{problem}.*key '{key}'"):
        dataset.latents([key])


# text


WORDS = {"a cat": torch.randn(3, 5), "a grey cat": torch.randn(4, 5), "a dog": torch.randn(1, 5)}
"""Embeddings by caption, of 4 tokens at most and width 5."""
NULL = torch.randn(1, 5)


def text_folder(directory: Path, *captions: str, **changed: Tensor) -> Path:
    """Text of the clip ``a`` with these captions, each named by its first word but one, and of ``none`` without."""
    clips = {"a": [Caption(text.split()[1], text) for text in captions], "none": []}
    return write_text(directory, clips, WORDS | {text.replace("_", " "): own for text, own in changed.items()}, NULL, 4)


def padded(embedding: Tensor) -> Tensor:
    """As a model takes it: what is stored in float16, and zeros up to 4 tokens."""
    return torch.cat([embedding.half().float(), torch.zeros(4 - len(embedding), 5)])


def test_text_and_the_null_embedding(tmp_path: Path) -> None:
    dataset = TextDataset(text_folder(tmp_path, "a cat"))
    embeddings, mask = dataset.embeddings(["a", "null"])
    assert embeddings.dtype == torch.float32
    assert embeddings.shape == (2, 4, 5)
    assert torch.equal(embeddings[0], padded(WORDS["a cat"]))
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[True, True, True, False], [True, False, False, False]]
    null, null_mask = dataset.null()
    assert torch.equal(null, padded(NULL))
    assert torch.equal(null, embeddings[1])
    assert torch.equal(null_mask, mask[1])


def test_of_several_captions_the_one_at_the_place_is_given(tmp_path: Path) -> None:
    dataset = TextDataset(text_folder(tmp_path, "a cat", "a grey cat"))
    assert dataset.names("a") == ("cat", "grey")
    assert dataset.all_names() == {"cat", "grey"}
    assert dataset.kinds() == {("cat", "grey")}
    embeddings, mask = dataset.embeddings(["a", "a", "none"], [1, 0, 0])
    assert torch.equal(embeddings, torch.stack([padded(own) for own in (WORDS["a grey cat"], WORDS["a cat"], NULL)]))
    assert mask.sum(dim=1).tolist() == [4, 3, 1]
    assert torch.equal(dataset.embeddings(["a"])[0], embeddings[1:2]), "the first, where nothing is said"


def test_what_is_given_is_not_what_is_kept(tmp_path: Path) -> None:
    dataset = TextDataset(text_folder(tmp_path, "a cat"))
    dataset.embeddings(["a"])[0].zero_()
    assert torch.equal(dataset.embeddings(["a"])[0][0], padded(WORDS["a cat"]))


def test_a_clip_without_a_caption_has_the_null_embedding(tmp_path: Path) -> None:
    dataset = TextDataset(text_folder(tmp_path, "a cat"))
    assert dataset.names("none") == ()
    assert torch.equal(dataset.embeddings(["none"])[0][0], dataset.null()[0])


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (torch.zeros(5, 5).half(), r"\(5, 5\) of torch\.float16: not 1 to 4 tokens"),
        (torch.zeros(0, 5).half(), r"\(0, 5\) .*not 1 to 4 tokens"),
        (torch.zeros(1, 3, 5).half(), r"\(1, 3, 5\) .*not 1 to 4 tokens"),
        (torch.zeros(3, 5), r".*torch\.float32: not 1 to 4 tokens of float16"),
        (torch.zeros(3, 6).half(), r"\(3, 6\) .*others have the width 5"),
        (torch.tensor([[float("nan")] * 5]).half(), ".*not finite"),
        (torch.tensor([[0, 0, float("inf"), 0, 0]]).half(), ".*not finite"),
    ],
)
def test_bad_text_is_named(tmp_path: Path, bad: Tensor, problem: str) -> None:
    text_folder(tmp_path, "a cat")
    name = caption_id("a cat")
    write_samples(tmp_path, [(name, member(embedding=bad)), ("null", text_sample(NULL))])
    with pytest.raises(CorruptArtifactError, match=rf"x-000000\.tar: key '{name}': an embedding {problem}"):
        TextDataset(tmp_path).embeddings(["null", "a"])


def test_a_caption_or_a_clip_without_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptArtifactError, match=r"captions\.parquet: no clip has the key 'b'"):
        TextDataset(text_folder(tmp_path / "a")).embeddings(["b"])
    with pytest.raises(CorruptArtifactError, match=f"no sample for key '{caption_id('a horse')}'"):
        TextDataset(text_folder(tmp_path / "b", "a horse")).embeddings(["a"])
    write_samples(text_folder(tmp_path / "c"), [])
    with pytest.raises(CorruptArtifactError, match="'null'"):
        TextDataset(tmp_path / "c")


def test_text_that_an_older_version_stored_is_refused(tmp_path: Path) -> None:
    """Before, embeddings were padded, and stored under the keys of clips."""
    mask = torch.tensor([[1, 0, 0, 0]], dtype=torch.uint8)
    write_samples(tmp_path, [("null", member(embeddings=torch.zeros(1, 4, 3).half(), mask=mask))])
    with pytest.raises(StorageError, match=r"captions\.parquet: no such file"):
        TextDataset(tmp_path)
    pq.write_table(pa.table({"key": ["a"], "names": [[""]]}), tmp_path / "captions.parquet")
    with pytest.raises(CorruptArtifactError, match=r"captions\.parquet: stored by another version; run encode-text"):
        TextDataset(tmp_path)
    write_captions(tmp_path, [], 4)
    with pytest.raises(CorruptArtifactError, match=r"key 'null': tensors \['embeddings', 'mask'\]"):
        TextDataset(tmp_path)


def test_a_sample_that_does_not_parse_has_its_tar_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage that the system does not know of: size and times are as they were."""
    monkeypatch.setattr(Stamp, "of", classmethod(lambda cls, status: Stamp(status.st_size, 0, 0, 0)))
    monkeypatch.setenv("WALT_CACHE", str(tmp_path / "cache"))
    values = {key: member(latents=torch.ones(4, 2, 3, 3).half()) for key in ("v0", "v1")}
    latent_dataset(tmp_path, values)
    tar = tmp_path / "16x16/x-000000.tar"
    whole = tar.read_bytes()
    at = whole.index(b"latents", whole.index(b"v1.safetensors") + 100)
    for damaged in (whole[:at] + b"m" + whole[at + 1 :], whole[: at + 200] + b"\xff\x7f" * 20 + whole[at + 240 :]):
        tar.write_bytes(damaged)
        dataset = LatentDataset(tmp_path, SIZE, "train")  # not hashed: the stamp says that nothing changed
        assert dataset.latents(["v0"]).sum() == 72
        with pytest.raises(CorruptArtifactError, match=r"x-000000\.tar: its sha256 differs from the index"):
            dataset.latents(["v1"])
        tar.write_bytes(whole)
        assert LatentDataset(tmp_path, SIZE, "train").latents(["v1"]).sum() == 72


@pytest.mark.parametrize("dtype", [None, torch.float16, torch.float32])
def test_a_batch_is_the_same_whoever_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype | None
) -> None:
    """One thread, or several: which also leaves text as it is."""
    values = {f"v{i}": torch.randn(4, 2, 3, 3).half() for i in range(7)}
    latents = latent_dataset(tmp_path / "latents", {key: member(latents=value) for key, value in values.items()})
    captions = {key: [Caption("", f"caption of {key}")] for key in values}
    words = {own[0].text: torch.randn(1 + i % 4, 5) for i, own in enumerate(captions.values())}
    text = TextDataset(write_text(tmp_path / "text", captions, words, NULL, 4))
    monkeypatch.setattr(keyed_dataset, "_BYTES_FOR_THREADS", 1)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        found.append((latents.latents([*values], dtype), *text.embeddings([*values], dtype=dtype or torch.float16)))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert found[0][0].dtype == (dtype or torch.float16)
    assert torch.equal(found[0][0].half(), torch.stack([*values.values()]))
    expected = torch.stack([padded(words[own[0].text]) for own in captions.values()])
    assert torch.equal(found[0][1].float(), expected)


def test_a_batch_has_one_kind_and_known_keys(tmp_path: Path) -> None:
    values = {key: member(latents=torch.zeros(4, 2 if key == "v0" else 1, 3, 3).half()) for key in ("v0", "i0")}
    dataset = latent_dataset(tmp_path, values)
    with pytest.raises(ValueError, match="videos and images"):
        dataset.latents(["v0", "i0"])
    with pytest.raises(KeyError, match="not in the split train"):
        dataset.latents(["v0", "v9"])
    assert dataset.latents(["v0"]).dtype == torch.float32


def test_a_tensor_that_is_stored_in_another_way_is_read_by_the_library(tmp_path: Path) -> None:
    """Others may write the same values with metadata, or in another order of the header's parts."""
    value = torch.randn(4, 2, 3, 3).half()
    other = {"safetensors": save({"latents": value}, metadata={"by": "others"})}
    dataset = latent_dataset(tmp_path, {"v0": other, "v1": member(latents=value), "v2": other})
    assert torch.equal(dataset.latents(["v0", "v1", "v2"]), torch.stack([value] * 3).float())


@pytest.mark.parametrize("left", [0, 700, 0.5])
def test_a_tar_that_is_cut_short_while_it_is_in_use_is_named(tmp_path: Path, left: float) -> None:
    """Between two batches and in the middle of one: what was opened goes on to be read."""
    dataset = latent_dataset(tmp_path, {f"v{i}": member(latents=torch.full((4, 2, 3, 3), i).half()) for i in range(9)})
    assert dataset.latents(["v8", "v0"])[0].unique().tolist() == [8]
    (path,) = dataset.reader.directory.glob("*.tar")
    with open(path, "r+b") as stream:
        stream.truncate(int(left if left > 1 else left * path.stat().st_size))
    with pytest.raises(CorruptArtifactError) as error:
        dataset.latents([f"v{i}" for i in range(9)])
    assert str(error.value) == f"{path}: cut short while it was in use"


def test_a_disk_that_fails_and_one_that_gives_little_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {f"v{i}": torch.randn(4, 2, 3, 3).half() for i in range(3)}
    dataset = latent_dataset(tmp_path, {key: member(latents=value) for key, value in values.items()})
    read = os.preadv

    def little(descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        return read(descriptor, [buffers[0][:100]], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", little)
        assert torch.equal(dataset.latents([*values], None), torch.stack([*values.values()]))

    def fail(descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(StorageError, match=r"\.tar: Input/output error$"):
        dataset.latents(["v1"])
