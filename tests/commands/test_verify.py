"""``walt verify`` finds whatever was changed after it was written, and readers are never given it in silence."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.verified_project import files_of, make_verified_project, what_readers_get
from walt.commands.verify.everything import Request, run
from walt.core.errors import CorruptArtifactError
from walt.core.paths import Paths

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
        if file.name != "left-out.json" and file not in right:
            right[file] = what_readers_get(paths, file)
        data = file.read_bytes()
        file.write_bytes(damage(data, chance))
        try:
            assert str(file) in found(paths), f"{damage.__name__} {number} of {file}"
            if file in right:
                try:
                    assert what_readers_get(paths, file) == right[file], f"{damage.__name__} {number} of {file}"
                except CorruptArtifactError as error:
                    assert str(file) in str(error), f"{damage.__name__} {number} of {file}"
                    met += 1
        finally:
            file.write_bytes(data)
    return met


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
