"""What is kept of tars is used, brought up to date, and never believed against the tars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from walt.core.errors import CorruptArtifactError
from walt.core.verified_files import CACHE_VARIABLE
from walt.data import tar_places
from walt.data.shards import Sample, ShardReader, ShardRecord, write_index, write_shard

SAMPLES: list[tuple[str, Sample]] = [
    (key, {"mp4": key.encode() * 3, "json": b"{}"}) for key in (*(f"{n:032x}" for n in (9, 3, 2**127)), "null")
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(tar_places, "_KEPT_FROM", 1)
    return tmp_path / "cache/places"


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tars whose headers were read."""
    names: list[str] = []
    read = tar_places.members_of
    monkeypatch.setattr(tar_places, "members_of", lambda path: names.append(path.name) or read(path))
    return names


def fill(folder: Path, samples: list[tuple[str, Sample]] = SAMPLES) -> list[ShardRecord]:
    """A tar of each sample, and their index."""
    records = [write_shard(folder / f"x-{sample[0]}.tar", [sample]) for sample in samples]
    write_index(folder, "an identity", records)
    return records


def check(folder: Path, samples: list[tuple[str, Sample]] = SAMPLES) -> None:
    reader = ShardReader(folder)
    assert reader.keys == tuple(key for key, _ in samples)
    assert [reader[key] for key in reader.keys] == [members for _, members in samples]
    assert [reader.path(key).name for key in reader.keys] == [f"x-{key}.tar" for key in reader.keys]
    assert "absent" not in reader


def test_headers_are_read_once(tmp_path: Path, scanned: list[str]) -> None:
    fill(tmp_path / "tars")
    check(tmp_path / "tars")
    assert len(scanned) == 4
    check(tmp_path / "tars")
    assert len(scanned) == 4


def test_only_new_tars_are_read(tmp_path: Path, scanned: list[str]) -> None:
    fill(tmp_path / "tars")
    check(tmp_path / "tars")
    scanned.clear()
    changed = [("f" * 32, {"mp4": b"new"}), *SAMPLES[1:3], ("other", {"mp4": b"new"})]
    fill(tmp_path / "tars", changed)
    check(tmp_path / "tars", changed)
    assert scanned == [f"x-{'f' * 32}.tar", "x-other.tar"]


def kept(cache: Path) -> tuple[Path, pa.Table]:
    (file,) = cache.iterdir()
    return file, pa.ipc.open_file(file.read_bytes()).read_all()


def write(file: Path, table: pa.Table) -> None:
    with open(file, "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)


def test_a_damaged_file_is_not_believed(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path / "tars")
    check(tmp_path / "tars")
    file, table = kept(cache)
    whole = file.read_bytes()
    for content in (b"", whole[:100], whole[:-30], b"x" * 2000):
        file.write_bytes(content)
        check(tmp_path / "tars")
    for name in ("tar", "offset", "upper", "extension"):
        values = np.sort(table[name].to_numpy()[::-1]) if name == "upper" else table[name].to_numpy()[::-1]
        damaged = table.set_column(table.column_names.index(name), name, pa.array(values))
        write(file, damaged.replace_schema_metadata(table.schema.metadata))
        assert find_each(ShardReader(tmp_path / "tars")), name
    too_high = table.set_column(table.column_names.index("tar"), "tar", pa.array([99] * len(table), pa.uint32()))
    write(file, too_high.replace_schema_metadata(table.schema.metadata))
    check(tmp_path / "tars")
    elsewhere = table.set_column(table.column_names.index("lower"), "lower", pa.array(table["lower"].to_numpy() + 1))
    write(file, elsewhere.replace_schema_metadata(table.schema.metadata))
    assert find_each(ShardReader(tmp_path / "tars"))


def find_each(reader: ShardReader) -> bool:
    return all(reader[key] == members for key, members in SAMPLES)


def test_a_key_in_two_tars_is_found_when_one_is_new(tmp_path: Path) -> None:
    records = fill(tmp_path / "tars", SAMPLES[:2])
    check(tmp_path / "tars", SAMPLES[:2])
    again = write_shard(tmp_path / "tars/y.tar", SAMPLES[:1])
    write_index(tmp_path / "tars", "id", [*records, again])
    with pytest.raises(CorruptArtifactError, match=rf"y\.tar: key '{SAMPLES[0][0]}' is also in an earlier tar"):
        ShardReader(tmp_path / "tars")


def test_without_a_cache_headers_are_read_each_time(
    tmp_path: Path, scanned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    fill(tmp_path / "tars")
    for _ in range(2):
        check(tmp_path / "tars")
    assert len(scanned) == 8
