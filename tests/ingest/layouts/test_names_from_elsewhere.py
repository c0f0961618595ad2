"""Tables that name files as another machine, a server or another folder has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.layout_folder import V, write
from tests.support.media import counter, write_video
from tests.support.miniatures import CATS_IN_VIDEOS, IN_VIDEOS, describe, lines, refusals
from tests.support.sources import LIST, codes, list_source
from walt.core.config import parse_section
from walt.core.errors import ConfigurationError
from walt.core.yaml_files import parse_commented
from walt.ingest.config import Descriptor
from walt.ingest.describe_files import Given
from walt.project.point_at_dataset import descriptor_bytes, own_dataset


@pytest.mark.parametrize(
    "name",
    [
        "C:\\Users\\me\\set\\videos\\{}.mp4", "\\\\server\\share\\videos\\{}.mp4", "D:/set/{}.mp4", "/mnt/other/{}.mp4",
        "file://{here}/videos/{}.mp4", "file:///home/me/set/videos/{}.mp4", "file://localhost/set/videos/{}.mp4",
        "gs://bucket/set/videos/{}.mp4", "hf://datasets/me/set/videos/{}.mp4", "https://example.org/set/{}.mp4",
        "set/videos/{}.mp4", "my set/{}.mp4", "videos/%{}.mp4",
    ],
)  # fmt: skip
def test_the_beginning_that_files_have_elsewhere_is_left_out(tmp_path: Path, name: str) -> None:
    here, percent = str(tmp_path / "d"), {"a": "61", "b": "62"}  # %61 is a
    paths = {letter: percent[letter] if "%" in name else letter for letter in "ab"}
    names = {letter: name.replace("{here}", here).replace("{}", path) for letter, path in paths.items()}
    rows = lines({"video": names["a"], "caption": "a cat"}, {"video": names["b"], "caption": "a dog"})
    described = describe(tmp_path, {**IN_VIDEOS, "t.jsonl": rows})
    found = {Path(item.path).relative_to(here).as_posix(): [item.caption] for item in described.listing.items}
    assert found == CATS_IN_VIDEOS
    assert refusals(described) == {}


@pytest.mark.parametrize(
    "paths", ["/mnt/set/videos/{}.mp4", "videos\\{}.mp4", "C:\\set\\{}.mp4", "file://{here}/videos/{}.mp4", "./{}.mp4"]
)
def test_lines_name_files_in_the_same_ways(tmp_path: Path, paths: str) -> None:
    names = "".join(f"{paths.replace('{here}', str(tmp_path / 'd')).replace('{}', letter)}\r\n" for letter in "ab")
    described = describe(tmp_path, {**IN_VIDEOS, "videos.txt": names, "prompts.txt": "a cat\r\na dog\r\n"})
    found = {Path(item.path).relative_to(tmp_path / "d").as_posix(): [item.caption] for item in described.listing.items}
    assert found == CATS_IN_VIDEOS
    assert refusals(described) == {}


@pytest.mark.parametrize(
    ("paths", "prefix"),
    [
        (("/data/x/videos/a.mp4", "/mnt/y/videos/b.mp4"), {"/data/x/": "", "/mnt/y/": ""}),
        (("/data/x/a.mp4", "E:\\y\\b.mp4"), {"/data/x/": "videos", "E:/y/": "videos"}),
        (("/data/x/a.mp4", "videos/b.mp4"), {"/data/x/": "videos"}),
        (("/data/x/a.mp4", "{here}/videos/b.mp4"), {"/data/x/": "videos"}),
    ],
)
@pytest.mark.parametrize("as_lines", [False, True])
def test_the_beginnings_of_a_table_that_was_joined_from_several_are_left_out(
    tmp_path: Path, paths: tuple[str, str], prefix: dict[str, str], as_lines: bool
) -> None:
    names = [path.replace("{here}", str(tmp_path / "d")) for path in paths]
    rows = lines(*({"video": name, "caption": text} for name, text in zip(names, ("a cat", "a dog"), strict=True)))
    files = {"videos.txt": "\n".join(names), "prompts.txt": "a cat\na dog"} if as_lines else {"t.jsonl": rows}
    described = describe(tmp_path, {**IN_VIDEOS, **files})
    found = {Path(item.path).relative_to(tmp_path / "d").as_posix(): [item.caption] for item in described.listing.items}
    assert found == CATS_IN_VIDEOS
    assert refusals(described) == {}
    assert getattr(described.descriptor.source, "prefix", None) == prefix
    written = parse_commented(descriptor_bytes(described.descriptor).decode())
    assert parse_section(written, Descriptor, "d.yaml") == described.descriptor


def test_two_beginnings_that_lead_to_one_file_are_not_guessed(tmp_path: Path) -> None:
    table = "video,caption\n/data/x/a.mp4,a cat\n/mnt/y/a.mp4,a dog\n"
    described = describe(tmp_path, {"a.mp4": V, "t.csv": table})
    assert described.choice.may_lose_captions
    assert any("/data/x/a.mp4 and /mnt/y/a.mp4 may both be a.mp4" in line for line in described.lines())
    source = {**LIST, "path_column": "video", "prefix": {"/data/x/": "", "/mnt/y/": ""}}
    listing = list_source(tmp_path, source, "d")
    assert [item.caption for item in listing.items] == ["a cat"]
    assert codes(listing) == {"/mnt/y/a.mp4": "ambiguous"}


@pytest.mark.parametrize(
    "names",
    [("A.MP4", "B.MP4"), ("A", "B"), ("Videos/A.mp4", "Videos/B.mp4"), ("D:\\Set\\A.MP4", "D:\\Set\\B.MP4")],
)
@pytest.mark.parametrize("form", ["csv", "lines", "map"])
def test_names_in_other_capital_letters_find_their_files(tmp_path: Path, names: tuple[str, str], form: str) -> None:
    if form == "lines" and names == ("A", "B"):
        names = ("./A.Mp4", "./B.mP4")
    table = f"path,caption\n{names[0]},a cat\n{names[1]},a dog\n"
    captions = json.dumps({names[0]: "a cat", names[1]: "a dog"})
    files = {
        "csv": {"t.csv": table}, "lines": {"videos.txt": "\n".join(names), "prompts.txt": "a cat\na dog"},
        "map": {"captions.json": captions},
    }[form]  # fmt: skip
    described = describe(tmp_path, {**IN_VIDEOS, **files})
    found = {Path(item.path).relative_to(tmp_path / "d").as_posix(): [item.caption] for item in described.listing.items}
    assert found == CATS_IN_VIDEOS
    assert refusals(described) == {}


def test_names_of_label_studio_s_local_files_are_paths(tmp_path: Path) -> None:
    rows = "video,caption\n/data/local-files/?d=videos/a.mp4,a cat\n/data/local-files/?d=videos%2Fb.mp4,a dog\n"
    described = describe(tmp_path, {**IN_VIDEOS, "export.csv": rows})
    assert {Path(item.path).name: item.caption for item in described.listing.items} == {
        "a.mp4": "a cat", "b.mp4": "a dog",
    }  # fmt: skip


def test_a_column_that_holds_the_beginning_of_names_is_told(tmp_path: Path) -> None:
    table = "video_id,start,end,caption\nx,0,0.2,a cat\nx,0.2,0.4,a dog\n"
    described = describe(tmp_path, {"x_0_200.mp4": V, "x_200_400.mp4": V, "t.csv": table})
    assert described.choice.may_lose_captions
    assert any("x_0_200.mp4 begins with it: --path-column '{video_id}_{...}.mp4'" in line for line in described.lines())


def test_names_without_suffix_of_files_with_several_are_all_found(tmp_path: Path) -> None:
    """Videos before stills, such as thumbnails, of the same name."""
    files = {"a.MP4": V, "a.jpg": V, "b.mov": V, "b.jpg": V}
    described = describe(tmp_path, {**files, "t.csv": "id,caption\na,a cat\nb,a dog\n"})
    found = {Path(item.path).name: item.caption for item in described.listing.items}
    assert found == {"a.MP4": "a cat", "b.mov": "a dog"}
    described = describe(tmp_path / "thumbnails", {"a.mp4": V, "a.jpg": V, "t.csv": "id,caption\na,a cat\n"})
    assert [Path(item.path).name for item in described.listing.items] == ["a.mp4"]


def test_signs_of_urls_stand_for_themselves_where_a_file_has_them(tmp_path: Path) -> None:
    rows = lines({"video": "a%20b.mp4", "caption": "a cat"}, {"video": "c%20d.mp4", "caption": "a dog"})
    described = describe(tmp_path, {"a%20b.mp4": V, "a b.mp4": V, "c d.mp4": V, "t.jsonl": rows})
    assert {Path(item.path).name: item.caption for item in described.listing.items} == {
        "a%20b.mp4": "a cat", "c d.mp4": "a dog",
    }  # fmt: skip
    assert refusals(described) == {"a b.mp4": "no_caption"}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("v/a.mp4", "w/a.mp4", "w/b.mp4"), ("x/a.mp4", "x/b.mp4")),  # two files of that name
        (("a.mp4", "b.mp4"), ("x/a.mp4", "y/a.mp4")),  # two folders there, one here
        (("v/a.mp4", "w/a.mp4"), ("C:\\x\\a.mp4",)),
    ],
)
def test_a_name_that_may_be_another_file_s_is_not_guessed(
    tmp_path: Path, files: tuple[str, ...], names: tuple[str, ...]
) -> None:
    rows = lines(*({"video": name, "caption": f"of {name}"} for name in names))
    described = describe(tmp_path, {**dict.fromkeys(files, V), "t.jsonl": rows})
    assert described.choice.may_lose_captions
    assert not any(item.captions for item in described.listing.items)


@pytest.mark.parametrize("videos", ["d", "d/t.csv"])
def test_nor_where_the_table_is_named(tmp_path: Path, videos: str) -> None:
    write(tmp_path / "d", {"videos/a.mp4": V, "clips/a.mp4": V, "t.csv": "file,caption\na.mp4,a cat\n"})
    given = Given(videos, captions="t.csv") if videos == "d" else Given(videos)
    with pytest.raises(ConfigurationError, match=r"a\.mp4 is clips/a\.mp4 and videos/a\.mp4: name the files"):
        own_dataset(tmp_path, given)


def test_paths_may_lead_out_of_the_table_s_folder(tmp_path: Path) -> None:
    described = describe(tmp_path, {"v/a.mp4": V, "meta/t.csv": "video,caption\n../v/a.mp4,a cat\n"})
    assert [(item.source, item.caption) for item in described.listing.items] == [("v/a.mp4", "a cat")]


def test_spans_are_compared_with_files_whose_names_had_another_beginning(tmp_path: Path) -> None:
    """As they are for others: the clips were cut already."""
    (tmp_path / "d").mkdir()
    write_video(tmp_path / "d" / "clips.mp4", counter(24), fps=8)
    described = describe(tmp_path, {"t.csv": "path,start,end,caption\n/mnt/set/clips.mp4,10,13,a cat\n"})
    assert [(item.caption, item.span) for item in described.listing.items] == [("a cat", None)]


@pytest.mark.parametrize("url", ["https://www.youtube.com/watch?v=abc", "https://youtu.be/abc", "https://vimeo.com/12"])
def test_a_page_that_shows_a_video_is_no_file(tmp_path: Path, url: str) -> None:
    described = describe(tmp_path, {"v/a.mp4": V, "t.csv": f"url,caption\n{url},a cat\n"})
    assert described.choice.may_lose_captions
    with pytest.raises(ConfigurationError, match="are not here, such as"):
        describe(tmp_path / "pages", {"t.csv": f"url,caption\n{url},a cat\n"})
    with pytest.raises(ConfigurationError, match="a page with a video, not a file"):
        own_dataset(tmp_path, Given("pages/d/t.csv"))


def test_urls_of_which_none_can_be_fetched_end_init(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("url,caption\ngs://bucket/a.mp4,a cat\n")
    with pytest.raises(ConfigurationError, match=r"none of its 1 inputs can be read; .* are fetched \(bad_url\)"):
        own_dataset(tmp_path, Given("t.csv"))
