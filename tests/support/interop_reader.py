"""Loads an export with energon or litdata and prints what it finds as JSON. Runs in their environment, so it imports
nothing of this project.

Arguments: the name of a function, and what it takes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any


def energon(folder: str, split: str) -> list[dict[str, Any]]:
    """The samples of a split: key and caption, and shape of the picture or number of frames."""
    import torch
    from megatron.energon import WorkerConfig, get_loader, get_val_dataset

    worker = WorkerConfig(rank=0, world_size=1, num_workers=0)
    found = []
    for sample in get_loader(get_val_dataset(folder, split_part=split, worker_config=worker, batch_size=None)):
        picture = sample.image
        if not isinstance(picture, torch.Tensor):  # a video, not decoded yet
            picture = picture.get_frames().video_clips[0]
        found.append({"key": sample.__key__, "caption": sample.caption, "shape": list(picture.shape)})
    return found


def members(folder: str) -> list[list[str]]:
    """The members of the samples for training that have no type of energon's, which a cooker has to know."""
    from megatron.energon import (
        Cooker,
        DefaultTaskEncoder,
        TextSample,
        WorkerConfig,
        basic_sample_keys,
        get_loader,
        get_val_dataset,
        stateless,
    )

    @stateless
    def cook(sample: dict[str, Any]) -> TextSample:
        names = sorted(name for name in sample if not name.startswith("__"))
        return TextSample(**basic_sample_keys(sample), text=" ".join(names))

    class Encoder(DefaultTaskEncoder):  # type: ignore[misc]
        cookers = (Cooker(cook),)

    worker = WorkerConfig(rank=0, world_size=1, num_workers=0)
    clips = get_val_dataset(folder, split_part="train", worker_config=worker, batch_size=None, task_encoder=Encoder())
    return [sample.text.split() for sample in get_loader(clips)]


def prepared(folder: str, other: str) -> list[str]:
    """What differs between what stands beside the tars and what energon itself makes of their copies."""
    from braceexpand import braceexpand
    from megatron.energon.flavors.webdataset.prepare import WebdatasetPreparator
    from yaml import safe_load

    ours, theirs = Path(folder), Path(other)
    theirs.mkdir()
    names = sorted(tar.name for tar in ours.glob("*.tar"))
    for name in names:
        shutil.copy(ours / name, theirs)
    patterns = [("train", "train-.*"), ("val", "validation-.*"), ("test", "test-.*")]
    WebdatasetPreparator.prepare_dataset(theirs, names, split_parts_patterns=patterns, workers=1)
    different = [name for name in names if (ours / f"{name}.idx").read_bytes() != (theirs / f"{name}.idx").read_bytes()]
    for table in ("samples", "sample_parts", "sqlite_master"):
        columns = "type, name, tbl_name" if table == "sqlite_master" else "*"
        rows = [
            sorted(map(str, sqlite3.connect(place / ".nv-meta/index.sqlite").execute(f"SELECT {columns} FROM {table}")))
            for place in (ours, theirs)
        ]
        different += [table] if rows[0] != rows[1] else []
    infos = [json.loads((place / ".nv-meta/.info.json").read_text())["shard_counts"] for place in (ours, theirs)]
    splits = [safe_load((place / ".nv-meta/split.yaml").read_text()) for place in (ours, theirs)]
    for split in splits:
        for part, listed in split["split_parts"].items():
            split["split_parts"][part] = [name for braced in listed for name in braceexpand(braced)]
    return (
        different
        + ([".info.json"] if infos[0] != infos[1] else [])
        + (["split.yaml"] if splits[0] != splits[1] else [])
    )


def litdata(folder: str) -> list[dict[str, Any]]:
    """The samples of a folder of chunks."""
    from litdata import StreamingDataset

    found = []
    for sample in StreamingDataset(folder, shuffle=False):
        (extension,) = sample.keys() - {"key", "caption", "json"}
        digest = hashlib.sha256(bytes(sample[extension])).hexdigest()
        found.append({
            "key": sample["key"], "caption": sample["caption"], "said": json.loads(sample["json"]), extension: digest,
        })  # fmt: skip
    return found


if __name__ == "__main__":
    readers = {"energon": energon, "members": members, "prepared": prepared, "litdata": litdata}
    print(json.dumps(readers[sys.argv[1]](*sys.argv[2:])))
