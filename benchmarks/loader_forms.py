"""The same samples in the forms of several libraries, and one pass over each: the contestants of ``benchmarks.loader``.

A contestant runs in a process of its own, so that libraries and versions do not meet:

    python -m benchmarks.loader_forms CONTESTANT FOLDER CLIPS BATCH

writes its form of the samples into FOLDER unless it is there, prints ``ready``, and then answers each line it is given
with the seconds of a pass over all samples, of the clock and of processors. A sample is a latent, 5x16x16x8 in 16 bits,
and a T5 embedding of 24 tokens on average, (n, 2048) in 16 bits, stored without padding in every form. A pass makes
batches: latents, embeddings padded with zeros to 64 tokens, and their mask; in 16 bits, or, where the name says so, in
float32, which is what training takes. One thread.
"""

from __future__ import annotations

import hashlib
import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import ModuleSpec
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

SHAPE = (8, 5, 16, 16)
TOKENS, WIDTH, MEAN_TOKENS = 64, 2048, 24
SEED = 0
OF_A_TAR = 256
Sample = tuple[NDArray[np.float16], NDArray[np.float16]]
Pass = Callable[[], int]
"""One pass over all samples; returns how many there were."""


def samples(clips: int) -> Iterator[Sample]:
    """Latents (c, t, h, w) and embeddings (n, D)."""
    rng = np.random.default_rng(SEED)
    for count in token_counts(clips):
        latent, text = rng.standard_normal(SHAPE, np.float32), rng.standard_normal((count, WIDTH), np.float32)
        yield latent.astype(np.float16), text.astype(np.float16)


def token_counts(clips: int) -> list[int]:
    """Of each sample's embedding."""
    drawn = np.random.default_rng(SEED + 1).normal(MEAN_TOKENS, 8, clips)
    return [int(count) for count in np.clip(np.rint(drawn), 4, TOKENS)]


def key(number: int) -> str:
    """As ingest names clips."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def in_batches(pairs: Iterable[tuple[Any, Any]], size: int) -> int:
    """Batches of pairs of a latent and an embedding, arrays or tensors; the number of samples."""
    pairs, count = iter(pairs), 0
    while batch := list(islice(pairs, size)):
        latents = torch.empty(len(batch), *SHAPE, dtype=torch.float16)
        text = torch.empty(len(batch), TOKENS, WIDTH, dtype=torch.float16)
        lengths = []
        for row, (latent, embedding) in enumerate(batch):
            latents[row] = torch.as_tensor(latent)
            text[row, : len(embedding)] = torch.as_tensor(embedding)
            text[row, len(embedding) :] = 0
            lengths.append(len(embedding))
        mask = torch.arange(TOKENS) < torch.tensor(lengths)[:, None]
        count += len(mask)
    return count


def memory_map(folder: Path, clips: int, size: int) -> Pass:
    """The limit: two raw files, whose views are copied into batches in a drawn order."""
    counts = token_counts(clips)
    starts = np.concatenate([[0], np.cumsum(counts)]).tolist()
    if not (folder / "text").is_file():
        folder.mkdir(parents=True)
        with open(folder / "latents", "wb") as latents, open(folder / "text", "wb") as text:
            for latent, embedding in samples(clips):
                latents.write(latent.tobytes())
                text.write(embedding.tobytes())
    latents_map = np.memmap(folder / "latents", np.float16, "r", shape=(clips, *SHAPE))
    text_map = np.memmap(folder / "text", np.float16, "r", shape=(starts[-1], WIDTH))
    order = np.random.default_rng(SEED).permutation(clips).tolist()

    def run() -> int:
        done = 0
        for first in range(0, clips, size):
            numbers = order[first : first + size]
            latents = torch.empty(len(numbers), *SHAPE, dtype=torch.float16)
            text = torch.empty(len(numbers), TOKENS, WIDTH, dtype=torch.float16)
            of_latents, of_text = latents.numpy(), text.numpy()
            for row, number in enumerate(numbers):
                of_latents[row] = latents_map[number]
                length = counts[number]
                of_text[row, :length] = text_map[starts[number] : starts[number + 1]]
                of_text[row, length:] = 0
            mask = torch.arange(TOKENS) < torch.tensor([counts[number] for number in numbers])[:, None]
            done += len(mask)
        return done

    return run


def stored_form(folder: Path, clips: int, size: int, dtype: torch.dtype | None, in_order: bool = False) -> Pass:
    """This project's tars, clips in the order of training or as they are stored; of whatever version is imported."""
    from walt.data.epoch_order import batch_keys
    from walt.data.latent_dataset import LatentDataset
    from walt.data.text_dataset import TextDataset

    latents = LatentDataset(folder / "latents", (128, 128), "train")
    text = TextDataset(folder / "text")
    of_dtype: dict[str, Any] = {} if dtype == torch.float32 else {"dtype": dtype}
    step, stored = 0, latents.reader.keys

    def run() -> int:
        nonlocal step
        done = 0
        for _ in range(clips // size):
            keys = stored[done : done + size] if in_order else batch_keys(SEED, step, size, latents.video_keys)
            batch = latents.latents(keys, **of_dtype)
            text.embeddings(keys, **of_dtype)
            done, step = done + len(batch), step + 1
        return done

    return run


def write_stored_form(folder: Path, clips: int) -> None:
    """Tars and tables as encode-video and encode-text leave them."""
    from safetensors.numpy import save

    from walt.data.captions import Caption
    from walt.data.clip_table import ClipRow
    from walt.data.clip_table_writer import write_clip_rows
    from walt.data.shards import NULL_KEY, shard_name, write_index, write_shard
    from walt.data.text_tables import caption_id, write_captions

    latents, text, records = folder / "latents/128x128", folder / "text", [[], []]  # type: ignore[var-annotated]
    every = samples(clips)
    for tar, first in enumerate(range(0, clips, OF_A_TAR)):
        numbers = range(first, min(first + OF_A_TAR, clips))
        pairs = list(zip(numbers, islice(every, len(numbers)), strict=True))
        of_latents = [(key(number), {"safetensors": save({"latents": own[0]})}) for number, own in pairs]
        ids = [caption_id(f"caption {number}") for number in numbers]
        texts = [{"safetensors": save({"embedding": own[1]})} for _, own in pairs]
        records[0].append(write_shard(latents / shard_name("latents", tar), of_latents))
        records[1].append(write_shard(text / shard_name("text", tar), zip(ids, texts, strict=True)))
    null = {"safetensors": save({"embedding": np.ones((1, WIDTH), np.float16)})}
    records[1].append(write_shard(text / "null.tar", [(NULL_KEY, null)]))
    rows = (ClipRow(key(n), "video", "train", n // OF_A_TAR, "0" * 64, 0.0, 17) for n in range(clips))
    write_clip_rows(folder / "latents", rows)
    write_captions(text, ((key(n), [Caption("", f"caption {n}")]) for n in range(clips)), TOKENS)
    write_index(latents, "benchmark", records[0])
    write_index(text, "benchmark", records[1])


def webdataset(folder: Path, clips: int, size: int, form: str) -> Pass:
    """Plain WebDataset, in stored order: ``npy`` members, or one ``safetensors`` member."""
    import webdataset as wds
    from safetensors.torch import load, save

    if not folder.is_dir():
        folder.mkdir(parents=True)
        with wds.ShardWriter(str(folder / "part-%06d.tar"), maxcount=OF_A_TAR, verbose=0) as writer:
            for number, (latent, text) in enumerate(samples(clips)):
                if form == "npy":
                    writer.write({"__key__": key(number), "latents.npy": latent, "text.npy": text})
                else:
                    tensors = {"latents": torch.from_numpy(latent), "text": torch.from_numpy(text)}
                    writer.write({"__key__": key(number), "safetensors": save(tensors)})

    def pairs() -> Iterator[tuple[Any, Any]]:
        urls = sorted(map(str, folder.glob("*.tar")))
        found = wds.WebDataset(urls, shardshuffle=False, nodesplitter=None, empty_check=False)
        if form == "npy":
            yield from ((one["latents.npy"], one["text.npy"]) for one in found.decode())
        else:
            tensors = (load(one["safetensors"]) for one in found)
            yield from ((one["latents"], one["text"]) for one in tensors)

    return lambda: in_batches(pairs(), size)


def mds(folder: Path, clips: int, size: int) -> Pass:
    """MosaicML's MDS, by number in a drawn order. It imports its datasets of pictures, which want a torchvision that
    this project cannot have: they get a module without anything in it."""
    for name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules[name] = _Empty(name)
    from streaming import MDSWriter, StreamingDataset

    if not folder.is_dir():
        columns = {"latents": "ndarray:float16", "text": "ndarray:float16"}
        with MDSWriter(out=str(folder), columns=columns) as writer:
            for latent, text in samples(clips):
                writer.write({"latents": latent, "text": text})
    dataset = StreamingDataset(local=str(folder), shuffle=False, batch_size=size)
    order = np.random.default_rng(SEED).permutation(clips).tolist()
    return lambda: in_batches(((one["latents"], one["text"]) for one in map(dataset.__getitem__, order)), size)


class _Empty(ModuleType):
    """A module in which any name is a class."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__spec__ = ModuleSpec(name, None)

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def _litdata_sample(number: int, folder: str) -> dict[str, torch.Tensor]:
    stored = np.load(Path(folder) / f"{number}.npz")
    return {name: torch.from_numpy(stored[name]) for name in ("latents", "text")}


def litdata(folder: Path, clips: int, size: int, shuffle: bool) -> Pass:
    """litdata, in the order in which it shuffles, or in stored order."""
    from functools import partial

    from litdata import StreamingDataset, optimize

    if not folder.is_dir():
        parts = folder.with_name("litdata-parts")
        parts.mkdir(parents=True)
        for number, (latent, text) in enumerate(samples(clips)):
            stream = io.BytesIO()
            np.savez(stream, latents=latent, text=text)
            (parts / f"{number}.npz").write_bytes(stream.getvalue())
        optimize(
            partial(_litdata_sample, folder=str(parts)), list(range(clips)), str(folder), chunk_bytes="64MB",
            num_workers=1, start_method="fork",
        )  # fmt: skip
    dataset = StreamingDataset(str(folder), shuffle=shuffle, drop_last=False)
    return lambda: in_batches(((one["latents"], one["text"]) for one in dataset), size)


CONTESTANTS: dict[str, Callable[[Path, int, int], Pass]] = {
    "memory map": lambda folder, clips, size: memory_map(folder / "map", clips, size),
    "ours": lambda folder, clips, size: stored_form(folder / "walt", clips, size, torch.float16),
    "ours, stored order": lambda folder, clips, size: stored_form(folder / "walt", clips, size, torch.float16, True),
    "ours, float32": lambda folder, clips, size: stored_form(folder / "walt", clips, size, torch.float32),
    "before, float32": lambda folder, clips, size: stored_form(folder / "walt", clips, size, torch.float32),
    "litdata": lambda folder, clips, size: litdata(folder / "litdata", clips, size, True),
    "litdata, stored order": lambda folder, clips, size: litdata(folder / "litdata", clips, size, False),
    "MDS": lambda folder, clips, size: mds(folder / "mds", clips, size),
    "WebDataset, safetensors": lambda folder, clips, size: webdataset(folder / "wds-st", clips, size, "safetensors"),
    "WebDataset, npy": lambda folder, clips, size: webdataset(folder / "wds-npy", clips, size, "npy"),
}


def main() -> None:
    """Take part: see the module's text."""
    from walt.nn.device import keep_freed_memory

    name, folder, clips, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    keep_freed_memory("cpu")
    run = CONTESTANTS[name](folder, clips, size)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        cpu = time.process_time()
        assert run() == clips
        print(time.perf_counter() - start, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    main()
