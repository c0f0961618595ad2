"""``walt verify`` finds whatever was changed after it was written, and readers are never given it in silence."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from typer.testing import CliRunner

from tests.support.tiny_clips import clip_row
from tests.support.verified_project import files_of, make_verified_project, what_readers_get
from walt.cli import app
from walt.commands.verify.decoded_page import Decoded, is_nearest
from walt.commands.verify.everything import Request, run
from walt.core.errors import CorruptArtifactError, LockedError
from walt.core.left_out import is_left_out
from walt.core.own_digest import write_json_with_digest
from walt.core.paths import Paths
from walt.core.storage import lock, read_json, write_json
from walt.data.shards import ShardReader, read_index, write_index, write_shard
from walt.project.recorded_outputs import record_outputs
from walt.project.registry import get_stage

NO_PAGE = Request(clips=0, seed=0, out=Path("results"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """Tests that change it put it right again."""
    return make_verified_project(tmp_path_factory.mktemp("verified"))


@pytest.fixture
def copy(whole: Paths, tmp_path: Path) -> Paths:
    shutil.copytree(whole.root, tmp_path / "copy")
    return Paths(tmp_path / "copy")


def found(paths: Paths) -> str:
    """What verify ends with; it must end with status 5."""
    with pytest.raises(CorruptArtifactError) as error:
        run(NO_PAGE, paths.root)
    assert error.value.exit_status == 5
    return str(error.value)


def refusal(paths: Paths, file: Path, right: str) -> str | None:
    """What the file's reader says of it; None where it is given what is right all the same."""
    try:
        assert what_readers_get(paths, file) == right, f"{file}: other data, in silence"
    except CorruptArtifactError as error:
        return str(error)
    return None


def flipped(data: bytes, chance: random.Random) -> bytes:
    place, bit = chance.randrange(len(data)), chance.randrange(8)
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def truncated(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def damage_is_found(paths: Paths, damage: Callable[[bytes, random.Random], bytes], times: int, seed: int) -> int:
    """Damage random files, one at a time, and put them right again. Returns how often a reader met it."""
    chance, files, met = random.Random(seed), files_of(paths), 0
    right: dict[Path, str] = {}
    kinds = sorted({file.suffix for file in files})
    for number in range(times):
        file = chance.choice([one for one in files if one.suffix == kinds[number % len(kinds)]])
        if not is_left_out(file.parent) and file not in right:
            right[file] = what_readers_get(paths, file)
        data = file.read_bytes()
        file.write_bytes(damage(data, chance))
        try:
            assert str(file) in found(paths), f"{damage.__name__} {number} of {file}"
            refused = refusal(paths, file, right[file]) if file in right else None
            assert refused is None or str(file) in refused, f"{damage.__name__} {number} of {file}"
            met += refused is not None
        finally:
            file.write_bytes(data)
    return met


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flipped, truncated])
def test_a_flipped_bit_or_a_cut_is_found_and_no_reader_takes_it(
    whole: Paths, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    assert damage_is_found(whole, damage, 8, seed=1) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flipped, truncated])
def test_a_hundred_flipped_bits_and_cuts_are_found_and_no_reader_takes_one(
    whole: Paths, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    assert damage_is_found(whole, damage, 100, seed=2) >= 60


# what is looked at besides digests: here all of them are right


def rewritten(paths: Paths, folder: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Write the first tar of a folder again, with its index and the stage's record."""
    index, reader = read_index(folder), ShardReader(folder)
    first, *others = index.records
    keys = [key for key in reader.keys if reader.path(key).name == first.shard]
    changed = ((key, change(key, reader[key]["safetensors"])) for key in keys)
    samples = [(key, {"safetensors": data}) for key, data in changed if data is not None]
    write_index(folder, index.identity, [write_shard(folder / first.shard, samples), *others])
    record_outputs(get_stage("encode-text" if folder == paths.text else "encode-video"), paths)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: torch.full_like(found, float("nan")), "latents with values that are not finite"),
        (lambda found: torch.full_like(found, float("inf")), "latents with values that are not finite"),
        (lambda found: found.float(), "latents of torch.float32, not of float16"),
        (lambda found: found[:, :, :1].contiguous(), "latents of shape (4, 2, 1, 4), not of shape (4, 2, 4, 4)"),
    ],
)
def test_latents_that_cannot_be_are_named(
    copy: Paths, change: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    folder, changed = copy.latents / "32x32", list[str]()

    def once(key: str, data: bytes) -> bytes:
        changed.append(key)
        return save({"latents": change(load(data)["latents"])}) if len(changed) == 1 else data

    rewritten(copy, folder, once)
    name = read_index(folder).records[0].shard
    assert found(copy) == f"{folder / name}: key '{changed[0]}': {message}"


def test_a_clip_without_latents_is_named(copy: Paths) -> None:
    folder = copy.latents / "16x24"
    first = ShardReader(folder).keys[0]
    rewritten(copy, folder, lambda key, data: None if key == first else data)
    assert found(copy) == f"{folder / 'shards.parquet'}: no tar has the latents of clip '{first}'"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: torch.full_like(found, float("inf")), "embedding with values that are not finite"),
        (lambda found: found.double(), "embedding of torch.float64, not of float16"),
        (lambda found: found[:, :3].contiguous(), "not of 1 to 8 tokens of width 16"),
        (None, "no tar has the caption"),
    ],
)
def test_text_that_cannot_be_is_named(
    copy: Paths, change: Callable[[torch.Tensor], torch.Tensor] | None, message: str
) -> None:
    def changed(key: str, data: bytes) -> bytes | None:
        return save({"embedding": change(load(data)["embedding"])}) if change else None

    name = read_index(copy.text).records[0].shard
    rewritten(copy, copy.text, changed)
    assert message in (said := found(copy))
    assert said.startswith(f"{copy.text / name}: key '" if change else f"{copy.text / 'captions.parquet'}: ")


# what stages noted, and what DVC knows


def test_a_file_that_is_missing_or_has_grown_is_named(copy: Paths) -> None:
    (copy.base / "model.safetensors").unlink()
    copy.rejects.write_bytes(b"more" + copy.rejects.read_bytes())
    said = found(copy)
    assert said.startswith(f"{copy.rejects}: {copy.rejects.stat().st_size} bytes, but ingest made ")
    assert re.search(r" \(and \d more\)$", said)


def test_all_files_that_are_wrong_are_named(copy: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [copy.base / "config.json", copy.autoencoder / "model.safetensors", copy.latents / "clips.parquet"]
    for file in wrong:
        file.write_bytes(flipped(file.read_bytes(), random.Random(0)))
    found(copy)
    said = capsys.readouterr().out.replace("\n", "")
    assert all(str(file) in said for file in wrong)


def test_a_stage_that_runs_is_not_looked_at_and_the_rest_is(copy: Paths) -> None:
    with lock(copy.work("train-base") / "lock"):
        with pytest.raises(LockedError, match="not looked at, since train-base runs"):
            run(NO_PAGE, copy.root)
        (copy.autoencoder / "statistics.json").write_text("{}")
        assert "statistics.json" in found(copy)


def test_without_a_record_what_an_index_names_is_hashed_all_the_same(
    copy: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    for record in copy.root.glob("work/*/outputs.json"):
        record.unlink()
    run(NO_PAGE, copy.root)
    assert "encode-video: neither a record nor dvc.lock" in capsys.readouterr().out.replace("\n", " ")
    tar = copy.latents / "32x32" / read_index(copy.latents / "32x32").records[0].shard
    tar.write_bytes(flipped(tar.read_bytes(), random.Random(0)))
    assert found(copy) == f"{tar}: its sha256 differs from the index"


def lock_of(paths: Paths, output: str) -> dict[str, object]:
    """What ``dvc.lock`` says of a folder; DVC's list of its files is written where DVC has it."""
    folder = paths.root / output
    files = [file for file in folder.rglob("*") if file.is_file()]
    entries = [{"md5": md5(file.read_bytes()), "relpath": str(file.relative_to(folder))} for file in files]
    listing = json.dumps(sorted(entries, key=lambda entry: entry["relpath"]), sort_keys=True).encode()
    digest = md5(listing)
    place = paths.root / f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}.dir"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(listing)
    return {"path": output, "hash": "md5", "md5": f"{digest}.dir", "nfiles": len(files)}


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def locked(copy: Paths) -> Paths:
    """DVC knows the base model; the stage's record is of another one, as after ``dvc checkout``."""
    write_json(copy.root / "dvc.lock", {"stages": {"train-base": {"outs": [lock_of(copy, "models/base")]}}})
    record = copy.work("train-base") / "outputs.json"
    other = read_json(record)["files"] | {"models/base/config.json": {"bytes": 3, "sha256": "0" * 64}}
    write_json_with_digest(record, {"files": other})
    return copy


def test_what_dvc_put_in_place_is_right_where_it_is_what_dvc_knows(locked: Paths) -> None:
    run(NO_PAGE, locked.root)
    (locked.work("train-base") / "outputs.json").unlink()
    run(NO_PAGE, locked.root)
    (locked.base / "metrics.json").write_text("{}")
    assert found(locked) == f"{locked.base}: has files that are not in dvc.lock: metrics.json"


@pytest.mark.slow
def test_without_a_record_a_file_that_differs_from_dvcs_is_named(locked: Paths) -> None:
    (locked.work("train-base") / "outputs.json").unlink()
    (locked.base / "history.json").write_text("[]")
    write_json(locked.root / "dvc.lock", {"stages": {"train-base": {"outs": [lock_of(locked, "models/base")]}}})
    run(NO_PAGE, locked.root)
    (locked.base / "history.json").write_text("[ ]")
    assert found(locked) == f"{locked.base / 'history.json'}: differs from dvc.lock"
    shutil.rmtree(locked.root / ".dvc")
    assert found(locked) == f"{locked.base}: its files are not those in dvc.lock, and DVC's list is not here"


# the page


@pytest.mark.slow
def test_the_page_shows_clips_beside_their_decoded_latents_and_their_captions(whole: Paths, tmp_path: Path) -> None:
    pages = [run(Request(6, seed, tmp_path / str(number)), whole.root) for number, seed in enumerate((1, 1, 2))]
    texts = [page.read_text(encoding="utf-8") for page in pages if page is not None]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    assert texts[0].count('alt="stored"') == texts[0].count('alt="decoded"') == 12, "two sizes"
    assert re.search(r"video [a-g]\s+<span class=\"note\">\(\d tokens", texts[0])
    assert "http" not in texts[0]


def test_latents_of_another_clip_are_not_the_nearest() -> None:
    dark, bright = (np.full((5, 8, 8, 3), value, np.uint8) for value in (20, 200))
    rows = [clip_row(key, "video", "train", 0) for key in ("a", "b")]
    right = [Decoded(rows[0], dark, dark + 3), Decoded(rows[1], bright, bright - 3)]
    swapped = [Decoded(rows[0], dark, bright), Decoded(rows[1], bright, dark)]
    assert [is_nearest(one, right) for one in right] == [True, True]
    assert [is_nearest(one, swapped) for one in swapped] == [False, False]


def test_the_command_ends_with_5_and_names_the_file(copy: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    file = copy.base / "model.safetensors"
    file.write_bytes(truncated(file.read_bytes(), random.Random(0)))
    monkeypatch.chdir(copy.root)
    result = CliRunner().invoke(app, ["verify", "--clips", "0"])
    assert isinstance(result.exception, CorruptArtifactError)
    assert result.exception.exit_status == 5
    assert str(result.exception).startswith(f"{file}: {file.stat().st_size} bytes, but train-base made ")
