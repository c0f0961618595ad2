"""Listing a folder of this machine: names in one order, links to folders followed, and a near end to it in any case."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sources import list_source, touch
from walt.ingest.sources.folders import LocalFolder, glob_expression


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset's folder with a file in it, beside other folders."""
    touch(tmp_path, "set/b/one.mp4", "elsewhere/two.mp4", "elsewhere/deep/three.mp4", "beside.mp4")
    return tmp_path / "set"


def names(folder: Path) -> list[str]:
    return list(LocalFolder(folder).names())


def test_names_are_listed_in_one_order_whatever_the_file_system(folder: Path) -> None:
    touch(folder, "b/z.mp4", "a.mp4", "c.mp4", "b.mp4", "b/.hidden.mp4", ".git/x.mp4")
    assert names(folder) == ["a.mp4", "b/one.mp4", "b/z.mp4", "b.mp4", "c.mp4"]
    assert LocalFolder(folder).matching("./b/*.mp4") == LocalFolder(folder).matching("b/*.mp4") == [
        "b/one.mp4", "b/z.mp4",
    ]  # fmt: skip


def test_a_link_to_a_folder_outside_is_followed_under_the_name_it_has_here(folder: Path) -> None:
    (folder / "linked").symlink_to(folder.parent / "elsewhere")
    assert names(folder) == ["b/one.mp4", "linked/deep/three.mp4", "linked/two.mp4"]
    assert LocalFolder(folder).matching("linked/**/*.mp4") == ["linked/deep/three.mp4", "linked/two.mp4"]
    found = list_source(folder, {"kind": "folder", "patterns": ["**/*"]}, caption_required=False)
    assert [item.path for item in found.items if "two" in item.source] == [str(folder / "linked/two.mp4")]
    (folder.parent / "set2").symlink_to(folder)
    assert names(folder.parent / "set2") == names(folder), "the dataset's folder may be a link itself"


@pytest.mark.parametrize("target", [".", "..", "../..", "b"])
def test_a_link_to_a_parent_folder_is_not_followed(folder: Path, target: str) -> None:
    (folder / "b/loop").symlink_to(folder / target)
    assert names(folder) == ["b/one.mp4"]


def test_links_to_each_other_and_to_themselves_are_not_followed_forever(folder: Path) -> None:
    """``deep`` is reached by a link, and from there again by its parent's name: neither is a parent of the dataset."""
    (folder / "b/c").symlink_to(folder.parent / "elsewhere/deep")
    (folder.parent / "elsewhere/deep/up").symlink_to(folder.parent / "elsewhere")
    (folder / "self").symlink_to("self")
    (folder / "gone").symlink_to("nowhere")
    assert names(folder) == ["b/c/three.mp4", "b/c/up/two.mp4", "b/one.mp4", "gone", "self"]


def test_two_links_to_one_folder_are_two_names(folder: Path) -> None:
    """Which of them is the source, and which a duplicate, the hash of the bytes says later on."""
    (folder / "x").symlink_to(folder.parent / "elsewhere/deep")
    (folder / "a").symlink_to(folder.parent / "elsewhere/deep")
    assert names(folder) == ["a/three.mp4", "b/one.mp4", "x/three.mp4"]


def test_folders_that_all_link_to_each_other_have_few_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a rule they had 109 600; here it is each folder, behind each other one, and behind two others."""
    set_, numbers = tmp_path / "set", range(8)
    touch(set_, *(f"d{number}/v.mp4" for number in numbers))
    for number in numbers:
        for other in set(numbers) - {number}:
            (set_ / f"d{number}/to{other}").symlink_to(set_ / f"d{other}")
    assert len(names(set_)) == 8 + 8 * 7 + 8 * 7 * 6
    printed = "".join(capsys.readouterr().out.split())  # lines are broken anywhere
    assert printed.count("warning:") == 1
    assert "d0/to1/to2/to3:notfollowed" in printed


@pytest.mark.parametrize("pattern", ["**/*.mp4", "a/**/*.mp4", "a/b/*.mp4", "a/b/*/*.mp4", "a/b/plain/c/*.mp4"])
def test_a_third_link_behind_two_others_is_not_followed_wherever_a_pattern_begins(folder: Path, pattern: str) -> None:
    """``a -> A``, ``A/b -> B``, ``B/plain/c -> C``: three on the way to ``c``; ``plain`` does not count."""
    up = folder.parent
    touch(up, "A/1.mp4", "B/2.mp4", "B/plain/2.mp4", "C/3.mp4")
    (folder / "a").symlink_to(up / "A")
    (up / "A/b").symlink_to(up / "B")
    (up / "B/plain/c").symlink_to(up / "C")
    expected = ["a/1.mp4", "a/b/2.mp4", "a/b/plain/2.mp4", "b/one.mp4"]
    assert names(folder) == expected
    wanted = glob_expression(pattern)
    assert LocalFolder(folder).matching(pattern) == [name for name in expected if wanted.fullmatch(name)]
    assert LocalFolder(folder).has("a/b/plain/c/3.mp4"), "a file that is named explicitly is used"


def test_an_existing_name_with_wildcards_is_not_a_glob(folder: Path) -> None:
    """``[2020]`` would be one character of three, and ``list [1].csv`` not match itself."""
    touch(folder, "list [1].csv", "list 1.csv", "a*.mp4", "ab.mp4", "b [2020]/one.mp4", "b 2/two.mp4", "b 2/[x].mp4")
    here = LocalFolder(folder)
    assert here.matching("list [1].csv") == ["list [1].csv"]
    assert here.matching("a*.mp4") == ["a*.mp4"], "and nothing that it would match as a glob"
    assert here.matching("?b.mp4") == ["ab.mp4"], "no such name: a glob"
    assert here.matching("b [2020]/*.mp4") == here.matching("./b [2020]/**/*") == ["b [2020]/one.mp4"]
    assert here.matching("b [2]/*.mp4") == ["b 2/[x].mp4", "b 2/two.mp4"]


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 70_000])
def test_a_file_is_read_up_to_the_limit(folder: Path, size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    (folder / "a.txt").write_bytes(data)
    found = LocalFolder(folder)
    assert [found.read("a.txt", most) for most in (10, 4096, 5000, 1 << 20)] == [
        data[:10], data[:4096], data[:5000], data,
    ]  # fmt: skip
    assert found.read("b", 10) is found.read("absent.txt", 10) is found.read("a.txt/x", 10) is None
