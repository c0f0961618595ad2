"""Which tar a caption is stored in."""

from __future__ import annotations

from pathlib import Path

import pytest

from walt.data import distinct_captions
from walt.data.distinct_captions import CaptionFiles, CaptionsOfTar
from walt.data.text_tables import caption_id

TEXTS = [f"caption {number}\nof two lines, \u00e9" for number in range(100)]


def tars(folder: Path, texts: list[str], num_clips: int = 0) -> list[CaptionsOfTar]:
    files = CaptionFiles(folder)
    files.write(texts, num_clips)
    assert files.count() == len(texts)
    return list(files.tars())


def test_each_caption_is_in_one_tar_in_the_order_of_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct_captions, "MOST", 10)
    found = tars(tmp_path / "files", [*TEXTS, *TEXTS[:7], TEXTS[0]])
    together = {name: text for tar in found for name, text in tar.texts.items()}
    assert list(together) == sorted(map(caption_id, TEXTS))
    assert all(caption_id(text) == name for name, text in together.items())
    assert max(len(tar.texts) for tar in found) <= 10
    for tar in found:
        beginning = tar.name.removeprefix("text-").removesuffix(".tar")
        assert all(f"{int(name, 16):0128b}".startswith(beginning) for name in tar.texts)
    uses = {name: count for tar in found for name, count in tar.uses.items()}
    assert [uses[caption_id(text)] for text in TEXTS[:8]] == [3, 2, 2, 2, 2, 2, 2, 1]


def test_few_captions_are_one_tar_and_none_are_none(tmp_path: Path) -> None:
    assert [tar.name for tar in tars(tmp_path / "files", TEXTS)] == ["text-all.tar"]
    assert tars(tmp_path / "files", []) == []
    CaptionFiles(tmp_path / "files").remove()
    assert list(tmp_path.iterdir()) == []


def test_a_further_caption_changes_one_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct_captions, "MOST", 50)
    before, after = (tars(tmp_path / "files", texts) for texts in (TEXTS[:-1], TEXTS[::-1]))
    assert sum(tar not in before for tar in after) == 1 or len(after) > len(before)


def test_many_clips_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct_captions, "MOST", 4)
    monkeypatch.setattr(distinct_captions, "_OF_A_FILE", 10)
    whole, parts = tars(tmp_path / "one", TEXTS), tars(tmp_path / "many", TEXTS, num_clips=100)
    assert len(list((tmp_path / "many").iterdir())) == 17
    assert parts == whole, "they are the same leaves where there are enough captions"
