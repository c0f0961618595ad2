"""Tars of samples made elsewhere: what is hostile is refused unread, what is cut is never a shorter dataset."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import pytest
from webdataset.writer import TarWriter

from tests.support.sources import by_source, codes, list_source
from tests.support.tars import TARS, write_tar
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.ingest.sources import locations
from walt.ingest.sources.items import Listing
from walt.ingest.sources.locations import hash_location, local_copy


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def content(location: str, folder: Path) -> bytes:
    with local_copy(location, folder) as path:
        return path.read_bytes()


def test_samples_of_a_webdataset_writer(tmp_path: Path) -> None:
    with TarWriter(str(tmp_path / "a.tar")) as writer:
        writer.write({"__key__": "000", "mp4": b"video", "txt": "a cat", "cls": 3})
        writer.write({"__key__": "sub/001", "jpg": b"picture", "txt": "ein Fuß", "json": {"other": 1}})
    found = list_source(tmp_path, TARS)
    items = by_source(found)
    assert {name: (item.kind, item.caption, item.label) for name, item in items.items()} == {
        "a.tar::000.mp4": ("video", "a cat", 3), "a.tar::sub/001.jpg": ("image", "ein Fuß", None),
    }  # fmt: skip
    assert found.refusals == []
    assert content(items["a.tar::000.mp4"].path, tmp_path / "work") == b"video"
    assert content(items["a.tar::sub/001.jpg"].path, tmp_path / "work") == b"picture"
    assert list((tmp_path / "work").iterdir()) == []
    same = tmp_path / "same"
    same.write_bytes(b"video")
    assert hash_location(items["a.tar::000.mp4"].path) == hash_location(str(same))


def test_a_tar_that_cannot_be_read_and_a_copy_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former affects one item, the latter all of them."""
    write_tar(tmp_path / "a.tar", {"a.mp4": b"video", "a.txt": b"a cat"})
    (item,) = list_source(tmp_path, TARS).items
    broken: dict[str, int] = {"rb": errno.EIO}

    def fail(path: Any, mode: str, **options: Any) -> Any:
        if mode in broken:
            raise OSError(broken[mode], os.strerror(broken[mode]))
        return open("/dev/full" if mode == "ab" else path, mode, **options)

    monkeypatch.setattr(locations, "open", fail, raising=False)
    with pytest.raises(OSError, match="Input/output error"):
        content(item.path, tmp_path / "work")
    broken.clear()
    with pytest.raises(StorageError, match="No space left on device"):
        content(item.path, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_names_with_several_dots_are_several_samples(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {
        "my.video.v1.mp4": b"1", "my.video.v1.txt": b"the first",
        "my.video.v2.mp4": b"2", "my.video.v2.txt": b"the second",
        "b/my.video.v1.mp4": b"3", "b/my.video.v1.txt": b"another folder",
    })  # fmt: skip
    items = by_source(list_source(tmp_path, TARS))
    assert {name: item.caption for name, item in items.items()} == {
        "a.tar::my.video.v1.mp4": "the first", "a.tar::my.video.v2.mp4": "the second",
        "a.tar::b/my.video.v1.mp4": "another folder",
    }  # fmt: skip
    assert [content(item.path, tmp_path / "work") for item in items.values()] == [b"3", b"1", b"2"]


def test_a_tar_of_a_whole_folder(tmp_path: Path) -> None:
    """``tar -C folder .`` writes ``./`` before every name."""
    members = {"./a.mp4": b"1", "./a.txt": b"a cat", "./a.cls": b"2", "./b/c.jpg": b"2", "./b/c.txt": b"a dog"}
    write_tar(tmp_path / "a.tar", members)
    found = list_source(tmp_path, TARS)
    assert {name: (item.caption, item.label) for name, item in by_source(found).items()} == {
        "a.tar::./a.mp4": ("a cat", 2), "a.tar::./b/c.jpg": ("a dog", None),
    }  # fmt: skip
    assert found.refusals == []


def test_captions_from_json(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {
        "0.mp4": b"0", "0.json": b'{"caption": "a cat", "url": "x"}', "1.mp4": b"1", "1.json": b"[1]", "2.mp4": b"2",
        "2.json": b'{"caption": 7.5}', "3.mp4": b"3", "3.json": b"[" * 100_000,
        "4.mp4": b"4", "4.json": b'{"caption": null}', "5.mp4": b"5",
    })  # fmt: skip
    found = list_source(tmp_path, TARS | {"caption": "json:caption"})
    assert {name: item.caption for name, item in by_source(found).items()} == {"a.tar::0.mp4": "a cat"}
    assert codes(found) == {
        "a.tar::1.mp4": "bad_caption", "a.tar::2.mp4": "bad_caption", "a.tar::3.mp4": "bad_caption",
        "a.tar::4.mp4": "no_caption", "a.tar::5.mp4": "no_caption",
    }  # fmt: skip


@pytest.mark.parametrize("caption", ["json", "txt:a", "json:", ":a", ""])
def test_a_wrong_kind_of_caption_is_named(tmp_path: Path, caption: str) -> None:
    with pytest.raises(ConfigurationError, match=r"source\.caption"):
        list_source(tmp_path, TARS | {"caption": caption})


def test_invalid_captions_and_invalid_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    members = {"0.txt": b"caf\xe9", "1.txt": b"nul \0", "2.txt": b" ", "3.txt": b"x" * (1 << 21), "4.txt": b"x" * 99}
    members |= {f"{number}.mp4": str(number).encode() for number in range(8)}
    members |= {f"{number}.txt": b"fine" for number in (5, 6, 7)}
    members |= {"5.cls": b"1\n", "6.cls": b"2", "7.cls": b"dog", "lonely.txt": b"no picture"}
    write_tar(tmp_path / "a.tar", members)
    found = list_source(tmp_path, TARS, classes="classes.txt")
    assert codes(found) == {
        "a.tar::0.mp4": "bad_caption", "a.tar::1.mp4": "bad_caption", "a.tar::2.mp4": "no_caption",
        "a.tar::3.mp4": "bad_caption", "a.tar::6.mp4": "bad_label", "a.tar::7.mp4": "bad_label",
        "a.tar::lonely.txt": "no_media",
    }  # fmt: skip
    cut, labelled = found.items
    assert (cut.caption, cut.caption_truncated, labelled.label) == ("x" * 60, True, 1)


class Trap:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_hostile_members_are_refused_and_never_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    data, work = tmp_path / "data", tmp_path / "work"
    data.mkdir()
    write_tar(
        data / "a.tar",
        {
            "../up.mp4": b"x", "/abs.mp4": b"x", "a/../../up2.mp4": b"x", "good.mp4": b"good", "good.txt": b"fine",
            "0.pkl": trap, "1.pth": trap, "2.PYD": trap, "3.npy": trap, "good2.mp4": b"1", "good2.txt": b"fine",
        },
        link("link.mp4", tarfile.SYMTYPE, "/etc/hostname"), link("hard.mp4", tarfile.LNKTYPE, "good.mp4"),
        link("pipe.mp4", tarfile.FIFOTYPE, ""), link("device.mp4", tarfile.CHRTYPE, ""),
        link("folder.mp4", tarfile.DIRTYPE, ""),
    )  # fmt: skip
    found = list_source(data, TARS)
    assert list(by_source(found)) == ["a.tar::good.mp4", "a.tar::good2.mp4"]
    assert {name.removeprefix("a.tar::"): code for name, code in codes(found).items()} == {
        "../up.mp4": "outside", "/abs.mp4": "outside", "a/../../up2.mp4": "outside", "link.mp4": "special",
        "hard.mp4": "special", "pipe.mp4": "special", "device.mp4": "special",
        "0.pkl": "pickle", "1.pth": "pickle", "2.PYD": "pickle", "3.npy": "pickle",
    }  # fmt: skip
    assert [content(item.path, work) for item in found.items] == [b"good", b"1"]
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["data", "data/a.tar", "work"]


def test_a_name_that_is_twice_in_a_tar_counts_once(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for data in (b"first", b"second"):
            info = tarfile.TarInfo("a.mp4")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    found = list_source(tmp_path, TARS, caption_required=False)
    assert [content(item.path, tmp_path / "work") for item in found.items] == [b"first"]
    assert codes(found) == {"a.tar::a.mp4": "duplicate_member"}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Four samples; one has a long name, whose header takes several blocks."""
    return write_tar(tmp_path / "a.tar", {
        f"{name}.{extension}": os.urandom(size)
        for name in ("0", "1", "2" * 150, "3")
        for extension, size in (("mp4", 1300), ("txt", 512))
    })  # fmt: skip


def test_a_tar_cut_anywhere_is_never_read_as_a_shorter_one(whole: Path) -> None:
    data = whole.read_bytes()
    with tarfile.open(whole) as archive:
        last = max(member.offset_data + member.size for member in archive)
    edges = [*range(0, last, 512), *range(1, last, 997)]
    for cut in edges:
        whole.write_bytes(data[:cut])
        with pytest.raises(CorruptArtifactError, match=r"a\.tar: (cut short|not a whole tar)") as caught:
            list_source(whole.parent, TARS, caption_required=False)
        assert caught.value.exit_status == 5
        assert "\n" not in str(caught.value)
    assert len(edges) > 20


def test_a_damaged_header_is_not_the_end(whole: Path) -> None:
    data = bytearray(whole.read_bytes())
    with tarfile.open(whole) as archive:
        offsets = [member.offset for member in archive]
    for offset in offsets:
        damaged = data.copy()
        damaged[offset] ^= 1
        whole.write_bytes(damaged)
        with pytest.raises(CorruptArtifactError):
            list_source(whole.parent, TARS, caption_required=False)


@pytest.mark.parametrize("content", [b"", b"no tar at all", bytes(10), b"\x1f\x8b" + bytes(2000)])
def test_a_file_that_is_not_a_tar_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(CorruptArtifactError, match=r"a\.tar: not a (whole tar|tar but gzip: unpack it)"):
        list_source(tmp_path, TARS)


def test_a_damaged_tar_may_be_one_refused_input(whole: Path) -> None:
    write_tar(whole.with_name("b.tar"), {"0.mp4": b"x", "0.txt": b"fine"})
    whole.write_bytes(whole.read_bytes()[:3000])
    found = list_source(whole.parent, TARS | {"damaged": "refuse"})
    assert list(by_source(found)) == ["b.tar::0.mp4"], "no sample of a damaged tar is taken"
    assert codes(found) == {"a.tar": "truncated"}


def test_a_tar_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\*\.tar: no such file"):
        list_source(tmp_path, TARS)


V = b"a video"


def captions(found: Listing) -> dict[str, list[str]]:
    return {item.source: [caption.text for caption in item.captions] for item in found.items}


def test_keys_may_end_at_the_first_dot(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {
        "s/1.base.mp4": V, "s/1.pose.mp4": V + b"2", "s/1.json": b'{"caption": "waves"}',
        "s/2.mp4": V + b"3", "s/2.info.json": b'{"caption": "jumps"}',
    })  # fmt: skip
    first = TARS | {"key_ends_at": "first_dot", "caption": ["json:caption", "info.json:caption"]}
    found = list_source(tmp_path, first)
    assert captions(found) == {
        "a.tar::s/1.base.mp4": ["waves"], "a.tar::s/1.pose.mp4": ["waves"], "a.tar::s/2.mp4": ["jumps"],
    }  # fmt: skip
    found = list_source(tmp_path, first | {"video": "base.mp4"})
    assert captions(found) == {"a.tar::s/1.base.mp4": ["waves"]}


def test_captions_that_do_not_join_name_the_convention(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tar(tmp_path / "a.tar", {"1.base.mp4": V, "1.json": b'{"caption": "waves"}'})
    found = list_source(tmp_path, TARS | {"caption": "json:caption"})
    assert codes(found) == {"a.tar::1.base.mp4": "no_caption", "a.tar::1.json": "no_media"}
    assert "a key ends at the last dot" in next(r.cause for r in found.refusals if r.code == "no_media")
    assert "source.key_ends_at: first_dot may join them" in " ".join(capsys.readouterr().out.split())


def test_several_captions_of_a_sample_are_kept_with_their_names(tmp_path: Path) -> None:
    record = b'{"cap": ["a", "b"], "model": {"long": "c"}, "score": 4.5, "none": null}'
    write_tar(tmp_path / "a.tar", {"1.mp4": V, "1.json": record, "1.txt": b"d"})
    wanted = ["txt", "json:cap", "json:model.long", "json:none", "json:absent"]
    (item,) = list_source(tmp_path, TARS | {"caption": wanted, "number_fields": ["score"]}).items
    assert item.captions == (("txt", "d"), ("cap", "a"), ("cap", "b"), ("model.long", "c"))
    assert item.numbers == {"score": 4.5}


def test_a_caption_of_another_type_says_which(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.mp4": V, "1.json": b'{"cap": {"long": "c"}}'})
    (refusal,) = list_source(tmp_path, TARS | {"caption": "json:cap"}).refusals
    assert (refusal.code, "a record with the keys long" in refusal.cause) == ("bad_caption", True)


def test_tars_one_after_the_other_are_one(tmp_path: Path) -> None:
    parts = []
    for name in "abc":
        parts.append(write_tar(tmp_path / name, {f"{name}.mp4": name.encode(), f"{name}.txt": b"a cat"}).read_bytes())
    (tmp_path / "all.tar").write_bytes(b"".join(parts))
    found = list_source(tmp_path, TARS)
    assert sorted(captions(found)) == ["all.tar::a.mp4", "all.tar::b.mp4", "all.tar::c.mp4"]
    contents = {content(item.path, tmp_path / "work") for item in found.items}
    assert contents == {b"a", b"b", b"c"}


@pytest.mark.parametrize("behind", [b"x" * 1024, b"\0" * 512 + b"more text", b"PK\x03\x04" + bytes(600)])
def test_what_is_no_tar_behind_the_end_of_one_is_refused_by_its_place(tmp_path: Path, behind: bytes) -> None:
    whole = write_tar(tmp_path / "a.tar", {"a.mp4": V, "a.txt": b"a cat"})
    whole.write_bytes(whole.read_bytes() + behind)
    with pytest.raises(CorruptArtifactError, match=r"a\.tar: .*(follows its end, at byte \d+|after byte \d+)"):
        list_source(tmp_path, TARS)


def test_the_name_of_a_tar_gives_the_split_where_that_is_said(tmp_path: Path) -> None:
    for name in ("train-0", "val-0"):
        write_tar(tmp_path / f"{name}.tar", {f"{name}.mp4": name.encode(), f"{name}.txt": b"a cat"})
    items = by_source(list_source(tmp_path, TARS | {"split": "name"}))
    assert {name: item.split for name, item in items.items()} == {
        "train-0.tar::train-0.mp4": "train", "val-0.tar::val-0.mp4": "held_out",
    }  # fmt: skip


SPLIT_YAML = """
exclude: [parts/data-1.tar, parts/data-0.tar/s1]
split_parts:
  train: ["parts/data-{0..1}.tar"]
  val: [parts/data-2.tar]
  test: []
"""


def test_energons_splits_and_exclusions_hold(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / ".nv-meta").mkdir()
    (tmp_path / ".nv-meta/split.yaml").write_text(SPLIT_YAML)
    for number in range(4):
        members = {f"s{k}.mp4": f"{number}{k}".encode() for k in range(2)} | {f"s{k}.txt": b"a cat" for k in range(2)}
        write_tar(tmp_path / f"parts/data-{number}.tar", members)
    found = list_source(tmp_path, TARS | {"tars": ["parts/*.tar"], "energon": ".nv-meta", "key_ends_at": "first_dot"})
    assert {name: item.split for name, item in by_source(found).items()} == {
        "parts/data-0.tar::s0.mp4": "train", "parts/data-2.tar::s0.mp4": "held_out",
        "parts/data-2.tar::s1.mp4": "held_out",
    }  # fmt: skip
    (tmp_path / ".nv-meta/split.yaml").write_text("split_parts: [a]")
    with pytest.raises(ConfigurationError, match=r"split\.yaml: not the split\.yaml of energon"):
        list_source(tmp_path, TARS | {"tars": ["parts/*.tar"], "energon": ".nv-meta"})


def test_captions_of_an_index_beside_the_tar(tmp_path: Path) -> None:
    write_tar(tmp_path / "s_0.tar", {"a.mp4": V, "b.mp4": V + b"2"})
    files = {"a.mp4": {"offset": 512, "captions": ["a cat", "a small cat"]}, "gone.mp4": {"captions": "x"}}
    (tmp_path / "s_0.json").write_text(json.dumps({"files": files}))
    found = list_source(tmp_path, TARS | {"caption": "index:captions"})
    assert captions(found) == {"s_0.tar::a.mp4": ["a cat", "a small cat"]}
    assert codes(found) == {"s_0.tar::b.mp4": "no_caption"}
    (tmp_path / "s_0.json").unlink()
    with pytest.raises(ConfigurationError, match=r"s_0\.json: no JSON object with 'files'"):
        list_source(tmp_path, TARS | {"caption": "index:captions"})


def test_a_sparse_member_is_refused_and_those_behind_it_are_read(tmp_path: Path) -> None:
    """Its header says a size that is larger than what is stored: it is not a sign of a cut."""
    path = write_tar(tmp_path / "a.tar", {"s.mp4": b"12", "b.mp4": b"2", "b.txt": b"a dog"})
    plain = path.read_bytes()
    header = bytearray(plain[:512])
    header[156:157] = b"S"
    header[386 : 386 + 24] = b"00000000000\0" + b"00000000002\0"
    header[483:495] = b"00010000000\0"  # the size of the whole
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    path.write_bytes(bytes(header) + plain[512:])
    found = list_source(tmp_path, TARS)
    assert list(by_source(found)) == ["a.tar::b.mp4"]
    assert codes(found) == {"a.tar::s.mp4": "special"}
