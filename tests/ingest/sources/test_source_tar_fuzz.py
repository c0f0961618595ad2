"""Damaged tars and indexes: each ends in an error that names the tar, or in a row for each of its members."""

from __future__ import annotations

import io
import json
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.sources import list_source
from tests.support.tars import TARS, write_tar
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.ingest.sources.items import Listing
from walt.media.kinds import is_media

MEMBERS = {
    "a.mp4": b"1" * 700, "a.txt": b"a cat", "b.mp4": b"22", "b.json": b'{"caption": ["x", "y"], "score": 1.5}',
    "ü" * 90 + ".mp4": b"333", "d/e.jpg": b"4", "d/e.cls": b"3", "./f.mp4": b"5" * 513,
}  # fmt: skip
TEXT = json.dumps({"files": {"a.mp4": {"offset": 512, "length": 700, "captions": ["a cat"]}, "b": {"captions": "b"}}})


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Bytes flipped, cut, doubled, moved or put in; at whole blocks or anywhere."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        step = draw.choice((1, 512)) if len(found) > 512 else 1
        start = draw.randrange(0, max(1, len(found)), step)
        end = min(len(found), start + step * draw.randint(1, 4))
        match draw.choice(("flip", "cut", "double", "zero", "noise", "drop")):
            case "flip":
                found[start:end] = bytes(byte ^ 1 << draw.randrange(8) for byte in found[start:end])
            case "cut":
                del found[start:]
            case "double":
                found[start:start] = found[start:end]
            case "zero":
                found[start:end] = bytes(end - start)
            case "noise":
                found[start:start] = draw.randbytes(end - start)
            case "drop":
                del found[start:end]
    return bytes(found)


def media_in(data: bytes) -> set[str]:
    """Names of the pictures and videos that a reader finds who goes over everything that is not a header."""
    names: set[str] = set()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", ignore_zeros=True) as archive:
        for member in archive:
            names |= {member.name} if is_media(member.name) and not member.isdir() else set()
    return names


def listed(root: Path, source: dict[str, Any]) -> Listing | str:
    """All inputs, or what was said about the dataset: one line."""
    try:
        return list_source(root, source, caption_required=False)
    except (CorruptArtifactError, ConfigurationError) as error:
        return str(error)


def check_tar(root: Path, seed: int) -> bool:
    """Whether one damaged tar could be read."""
    path = write_tar(root / "a.tar", MEMBERS)
    data = mutated(path.read_bytes(), random.Random(seed))
    path.write_bytes(data)
    settings = TARS | {"caption": ["txt", "json:caption"], "number_fields": ["score"]}
    found = listed(root, settings)
    if isinstance(found, str):
        assert "a.tar: " in found
        assert "\n" not in found
        again = list_source(root, settings | {"damaged": "refuse"}, caption_required=False)
        assert [(refusal.source, refusal.code) for refusal in again.refusals] == [("a.tar", "truncated")]
        return False
    rows = {source.removeprefix("a.tar::") for source in found.sources()}
    assert media_in(data) <= rows
    return True


def check_index(root: Path, seed: int) -> bool:
    write_tar(root / "a.tar", MEMBERS)
    (root / "a.json").write_bytes(mutated(TEXT.encode(), random.Random(seed)))
    settings = TARS | {"caption": "index:captions"}
    found = listed(root, settings)
    if isinstance(found, str):
        assert "a.json" in found or "the index beside it" in found
        return False
    media = {name for name in MEMBERS if is_media(name.removeprefix("./"))}
    assert media <= {source.removeprefix("a.tar::") for source in found.sources()}
    return True


def check_energon(root: Path, seed: int) -> bool:
    write_tar(root / "a.tar", {"a.mp4": b"1", "a.txt": b"a cat"})
    meta = root / ".nv-meta"
    meta.mkdir(exist_ok=True)
    texts: dict[str, Any] = {
        "split.yaml": "split_parts:\n  train: [a.tar]\n  val: ['b_{0..2}.tar']\nexclude: [a.tar/b]\n",
        ".info.json": '{"shard_counts": {"a.tar": 1}}', "dataset.yaml": "field_map: {video: mp4, caption: txt}\n",
    }  # fmt: skip
    draw = random.Random(seed)
    damaged = draw.choice([*texts])
    for name, text in texts.items():
        (meta / name).write_bytes(mutated(text.encode(), draw) if name == damaged else text.encode())
    found = listed(root, TARS | {"energon": ".nv-meta", "key_ends_at": "first_dot"})
    if isinstance(found, str):
        assert "\n" not in found
        return False
    return bool(list(found.sources()))


CHECKS = (check_tar, check_index, check_energon)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_two_hundred_damaged_inputs(tmp_path: Path, check: Any) -> None:
    read = sum(check(tmp_path, seed) for seed in range(200))
    assert 10 < read < 190, "some can be read, some cannot"


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_thousand_damaged_inputs(tmp_path: Path, check: Any) -> None:
    assert sum(check(tmp_path, seed) for seed in range(1000, 2000)) > 50
