"""How members of tars join to samples, which captions they have, their splits, and what is behind a tar's end."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.sources import by_source, codes, list_source
from tests.support.tars import TARS, write_tar
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.ingest.sources.locations import local_copy

TWO_PART = {
    "k1.base.mp4": b"1", "k1.pose.mp4": b"2", "k1.json": b'{"caption": "waves"}',
    "k2.base.mp4": b"3", "k2.pose.mp4": b"4", "k2.json": b'{"caption": "jumps"}',
}  # fmt: skip


def captions(root: Path, **settings: Any) -> dict[str, list[tuple[str, str]]]:
    """The captions of all items, by member; nothing is refused."""
    found = list_source(root, TARS | settings, characters=200)
    assert found.refusals == []
    return {name.partition("::")[2]: [tuple(c) for c in item.captions] for name, item in by_source(found).items()}


def test_the_first_dot_may_end_a_key_and_one_member_may_be_the_video(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", TWO_PART)
    found = captions(tmp_path, caption="json:caption", key_ends_at="first_dot", video="base.mp4")
    assert found == {"k1.base.mp4": [("caption", "waves")], "k2.base.mp4": [("caption", "jumps")]}
    both = captions(tmp_path, caption="json:caption", key_ends_at="first_dot")
    assert len(both) == 4
    listed = captions(tmp_path, caption="json:caption", key_ends_at=["base.mp4", "pose.mp4"], video=["POSE.mp4"])
    assert list(listed) == ["k1.pose.mp4", "k2.pose.mp4"]


def test_dots_in_folders_do_not_end_a_key(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"./v1.0/a.mp4": b"1", "v1.0/a.txt": b"a cat"})
    assert captions(tmp_path, key_ends_at="first_dot") == {"./v1.0/a.mp4": [("txt", "a cat")]}


def test_members_that_do_not_join_are_an_error_that_names_the_convention(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", TWO_PART)
    for required in (True, False):
        with pytest.raises(ConfigurationError, match=r"a\.tar: none of its captions.*last dot.*first_dot.*2 captions"):
            list_source(tmp_path, TARS | {"caption": "json:caption"}, caption_required=required)


def test_captions_with_a_suffix_of_their_own_are_found_by_the_hint(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"k1.mp4": b"1", "k1.info.json": b'{"title": "one"}'})
    with pytest.raises(ConfigurationError, match=r"key_ends_at: first_dot and caption: 'info\.json:title'"):
        list_source(tmp_path, TARS | {"caption": "json:title"})
    assert captions(tmp_path, caption="info.json:title", key_ends_at="first_dot") == {"k1.mp4": [("title", "one")]}


def test_several_captions_are_kept_with_their_names(tmp_path: Path) -> None:
    text = json.dumps({"cap": ["a cat", "a small cat"], "model": {"long": "a very small cat"}, "other": None})
    write_tar(
        tmp_path / "a.tar", {"0.mp4": b"0", "0.txt": b"cat", "0.json": text.encode(), "1.mp4": b"1", "1.txt": b"dog"}
    )
    assert captions(tmp_path, caption=["txt", "json:cap", "json:model.long", "json:other", "json:absent.key"]) == {
        "0.mp4": [("txt", "cat"), ("cap", "a cat"), ("cap", "a small cat"), ("model.long", "a very small cat")],
        "1.mp4": [("txt", "dog")],
    }


@pytest.mark.parametrize(
    ("text", "key", "cause"),
    [
        ('{"cap": 7}', "cap", "'cap' holds a number, not a text"),
        ('{"cap": ["a", 7]}', "cap", "'cap' holds a number, not a text"),
        ('{"cap": {"long": "x"}}', "cap", "'cap' holds a map, not a text"),
        ('{"model": "x"}', "model.long", "'model' holds a text, not a map with the key 'long'"),
        ("[1]", "cap", "the JSON holds a list, not a map with the key 'cap'"),
        ('{"cap": "x"', "cap", ".json is not JSON: line 1: Expecting ',' delimiter"),
        ("[" * 100_000, "cap", ".json is nested too deeply"),
        ('{"cap": "caf\udce9"}', "cap", "the caption contains bytes that are not UTF-8 text"),
    ],
)
def test_a_wrong_caption_has_its_true_cause(tmp_path: Path, text: str, key: str, cause: str) -> None:
    write_tar(tmp_path / "a.tar", {"0.mp4": b"0", "0.json": text.encode("utf-8", "surrogateescape")})
    (refusal,) = list_source(tmp_path, TARS | {"caption": f"json:{key}"}).refusals
    assert (refusal.source, refusal.code, refusal.cause) == ("a.tar::0.mp4", "bad_caption", cause)


def test_numbers_are_kept_under_their_keys(tmp_path: Path) -> None:
    members = {"0.mp4": b"0", "0.json": b'{"score": 5, "size": {"width": 64.5}}', "1.mp4": b"1", "2.mp4": b"2"}
    write_tar(
        tmp_path / "a.tar", members | {"2.json": b'{"score": "high"}', "3.mp4": b"3", "3.json": b'{"score": NaN}'}
    )
    found = list_source(tmp_path, TARS | {"number_keys": ["score", "size.width"]}, caption_required=False)
    assert {name: dict(item.numbers or {}) for name, item in by_source(found).items()} == {
        "a.tar::0.mp4": {"score": 5.0, "size.width": 64.5}, "a.tar::1.mp4": {"score": None, "size.width": None},
    }  # fmt: skip
    assert codes(found) == {"a.tar::2.mp4": "bad_number", "a.tar::3.mp4": "bad_number"}


def test_tars_are_split_by_name(tmp_path: Path) -> None:
    for name in ("train-0", "train-1", "val-0"):
        write_tar(tmp_path / f"{name}.tar", {"a.mp4": name.encode(), "a.txt": b"fine"})
    split = {"train": ["train-*.tar"], "held_out": ["val-*.tar"]}
    found = by_source(list_source(tmp_path, TARS | {"split": split}))
    assert [item.split for item in found.values()] == ["train", "train", "held_out"]
    for wrong, said in (({"train": ["train-*.tar"]}, "neither split"), (split | {"train": ["*"]}, "both splits")):
        with pytest.raises(ConfigurationError, match=rf"source\.split: val-0\.tar is in {said}"):
            list_source(tmp_path, TARS | {"split": wrong})


# ------------------------------------------------------------------------------------------------------ behind the end


def tar_bytes(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name.replace("_", "."))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_joined_tars_are_read_to_the_end(tmp_path: Path) -> None:
    parts = [tar_bytes(a_mp4=b"1", a_txt=b"a cat"), tar_bytes(b_mp4=b"22", b_txt=b"a dog"), tar_bytes(c_mp4=b"333")]
    (tmp_path / "a.tar").write_bytes(b"".join(parts) + bytes(4096))
    found = list_source(tmp_path, TARS)
    items = by_source(found)
    assert {name: item.caption for name, item in items.items()} == {"a.tar::a.mp4": "a cat", "a.tar::b.mp4": "a dog"}
    assert codes(found) == {"a.tar::c.mp4": "no_caption"}
    with local_copy(items["a.tar::b.mp4"].path, tmp_path / "work") as path:
        assert path.read_bytes() == b"22"


def test_a_name_in_two_joined_tars_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(2 * tar_bytes(a_mp4=b"1", a_txt=b"a cat"))
    found = list_source(tmp_path, TARS)
    assert list(by_source(found)) == ["a.tar::a.mp4"]
    assert sorted(refusal.code for refusal in found.refusals) == ["duplicate_member", "duplicate_member"]


@pytest.mark.parametrize("behind", [b"x" * 1024, b"x", bytes(700) + b"x", tar_bytes(b_mp4=b"2")[:300]])
def test_anything_else_behind_the_end_is_damage(tmp_path: Path, behind: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes(a_mp4=b"1", a_txt=b"a cat") + behind)
    with pytest.raises(CorruptArtifactError, match=r"a\.tar: not a whole tar: its end is at byte 10"):
        list_source(tmp_path, TARS)


def test_a_joined_tar_that_is_cut_is_damage(tmp_path: Path) -> None:
    first, second = tar_bytes(a_mp4=b"1", a_txt=b"a cat"), tar_bytes(b_mp4=b"2" * 700, b_txt=b"a dog")
    for cut in range(512, 2560, 512):
        (tmp_path / "a.tar").write_bytes(first + second[:cut])
        with pytest.raises(CorruptArtifactError, match=r"a\.tar: (cut short|not a whole tar)"):
            list_source(tmp_path, TARS)


def test_a_compressed_tar_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(gzip.compress(tar_bytes(a_mp4=b"1")))
    with pytest.raises(CorruptArtifactError, match=r"a\.tar: not a whole tar: it is compressed \(gzip\); "):
        list_source(tmp_path, TARS)


def test_a_sparse_member_is_refused_and_those_behind_it_are_read(tmp_path: Path) -> None:
    """Its header says a size that is larger than what is stored: it is no sign of a cut."""
    plain = bytearray(tar_bytes(s_mp4=b"12", b_mp4=b"2", b_txt=b"a dog"))
    header = plain[:512]
    header[156:157] = b"S"
    header[386 : 386 + 24] = b"00000000000\0" + b"00000000002\0"
    header[483:495] = b"00010000000\0"  # the size of the whole
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(plain[512:]))
    found = list_source(tmp_path, TARS)
    assert list(by_source(found)) == ["a.tar::b.mp4"]
    assert codes(found) == {"a.tar::s.mp4": "special"}


def test_long_names_in_pax_headers(tmp_path: Path) -> None:
    name = "ü" * 120
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for extension, data in (("mp4", b"1"), ("txt", b"a cat")):
            info = tarfile.TarInfo(f"{name}.{extension}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert captions(tmp_path) == {f"{name}.mp4": [("txt", "a cat")]}


# --------------------------------------------------------------------------------------------------------------- index


def write_index(path: Path, tar: Path, entries: dict[str, dict[str, Any]]) -> None:
    """An index as webshart writes it."""
    with tarfile.open(tar) as archive:
        places = {member.name: {"offset": member.offset_data, "length": member.size} for member in archive}
    names = dict.fromkeys([*places, *entries])
    path.write_text(json.dumps({"files": {name: places.get(name, {}) | entries.get(name, {}) for name in names}}))


def test_captions_in_the_index_beside_the_tar(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "s_0.tar", {"0.mp4": b"0", "1.mp4": b"11", "2.mp4": b"222"})
    entries = {
        "0.mp4": {"captions": "a cat"}, "1.mp4": {"captions": ["a dog", "a big dog"]},
        "2": {"json_metadata": {"caption": "a bird"}}, "gone.mp4": {"offset": 0, "length": 3, "captions": "lost"},
    }  # fmt: skip
    write_index(tmp_path / "s_0.json", tar, entries)
    found = list_source(tmp_path, TARS | {"caption": ["index:captions", "index:json_metadata.caption"]})
    assert codes(found) == {"s_0.tar::2.mp4": "no_caption", "s_0.tar::gone.mp4": "missing"}
    assert [[text for _, text in item.captions] for item in found.items] == [["a cat"], ["a dog", "a big dog"]]


def test_an_index_that_is_missing_damaged_or_of_another_tar(tmp_path: Path) -> None:
    write_tar(tmp_path / "s.tar", {"0.mp4": b"0"})
    index, settings = tmp_path / "s.json", TARS | {"caption": "index:captions"}
    with pytest.raises(ConfigurationError, match=r"s\.json: no such file \(source\.caption: index:KEY\)"):
        list_source(tmp_path, settings)
    for text, said in (
        ("{", r"s\.json is not JSON"), ("[]", r"s\.json: not an index"), ('{"files": {"0.mp4": 1}}', "not an index"),
        ('{"files": {"0.mp4": {"offset": 7, "length": 1}}}', r"s\.tar: the index beside it is that of another tar"),
    ):  # fmt: skip
        index.write_text(text)
        with pytest.raises(CorruptArtifactError, match=said):
            list_source(tmp_path, settings)
        assert codes(list_source(tmp_path, settings | {"damaged": "refuse"})) == {"s.tar": "truncated"}
