"""The stage ``ingest`` on several collections at once: one set of clips, wherever the members are."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.ingest_project import config, outputs, rejects
from tests.support.media import counter, write_video
from tests.support.parameters import params
from tests.support.places import Place, ingest_at, only_here
from tests.support.s3 import Bucket
from tests.support.sources import LIST, describe, member, union
from tests.support.web import Web
from walt.commands import doctor
from walt.commands.inspect.figures import members as inspected
from walt.core import remote
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, RejectLimitError
from walt.core.paths import Paths
from walt.data.manifest import ManifestRow, read_manifest, read_rejects
from walt.ingest import read_sources as reading
from walt.ingest.clip_cache import ClipCache, SourceEntry, SourceFile
from walt.ingest.clip_rule import ClipRule
from walt.ingest.clip_tars import Source
from walt.ingest.config import IngestConfig
from walt.ingest.sources.adapters import list_items
from walt.ingest.user_columns import ClipBounds

FOLDER = {"kind": "folder", "patterns": ["**/*"]}
TARS = {"kind": "webdataset", "tars": ["*.tar"], "caption": "txt", "damaged": "stop"}
KINETICS = {"kind": "kinetics", "tables": ["k.csv"], "videos": "", "absent": "refuse"}


def run(
    root: Path, descriptor: dict[str, Any], workers: int = 1, backend: str = "inline", **changes: Any
) -> dict[str, Any]:
    """Ingest ``root/videos``, or its place in a bucket, with these keys of a descriptor."""
    (root / "datasets").mkdir(exist_ok=True)
    (root / "datasets/test.yaml").write_text(json.dumps(describe(**descriptor).model_dump(mode="json")))
    settings = config(workers, backend, **{"sizes": ((16, 16),)} | changes)
    return ingest_at(root, settings)


def manifest(root: Path) -> dict[str, ManifestRow]:
    """The first row of each source."""
    return {row.source: row for row in reversed(read_manifest(Paths(root).manifest))}


def clips(root: Path) -> dict[str, str]:
    return {name: digest for name, digest in outputs(root).items() if name.startswith("data/clips/")}


def video(path: Path, number: int, num_frames: int = 20) -> Path:
    """A video of its own for each number; 20 frames of 24 a second are one clip of 5 at 8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, np.roll(counter(40), number, axis=0)[:num_frames])


def write_list(folder: Path, *rows: str, header: str = "path,caption") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n")


def pictures(file: Path, *captions: str) -> None:
    """A tar of as many pictures, no two alike."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for number, caption in enumerate(captions):
            Image.new("RGB", (24, 20), (40 * number, 90, 200)).save(file.parent / "x.png")
            (file.parent / "x.txt").write_text(caption)
            for suffix in ("png", "txt"):
                archive.add(file.parent / f"x.{suffix}", f"{number}.{suffix}")
    for suffix in ("png", "txt"):
        (file.parent / f"x.{suffix}").unlink()


@pytest.fixture
def root(tmp_path: Path, place: Place) -> Path:
    """``films``: three videos, two of them listed, one without a caption; ``tars``: two pictures."""
    for number, name in enumerate("abc"):
        video(tmp_path / f"videos/films/{name}.mp4", number)
    write_list(tmp_path / "videos/films", "a.mp4,film a", "b.mp4,film b", "c.mp4,", "gone.mp4,film d")
    pictures(tmp_path / "videos/pictures/0.tar", "picture 0", "picture 1")
    return place.settle(tmp_path)


FILMS = member(LIST, "films", images=False)
PICTURES = member(TARS, "pictures")


@pytest.mark.slow
def test_videos_and_pictures_of_two_collections(root: Path) -> None:
    figures = run(root, union(films=FILMS, tars=PICTURES))
    assert (figures["inputs"], figures["accepted"], figures["videos"], figures["images"]) == (6, 4, 2, 2)
    assert figures["members"] == {"films": "2 of 4 inputs", "tars": "2 of 2 inputs"}
    assert {name: (row.kind, row.caption) for name, row in manifest(root).items()} == {
        "films/a.mp4": ("video", "film a"), "films/b.mp4": ("video", "film b"),
        "tars/0.tar::0.png": ("image", "picture 0"), "tars/0.tar::1.png": ("image", "picture 1"),
    }  # fmt: skip
    assert {name: row.measures["member"] for name, row in manifest(root).items()} == {
        name: name.partition("/")[0] for name in manifest(root)
    }
    assert rejects(root) == {"films/c.mp4": "no_caption", "films/gone.mp4": "missing"}
    before = outputs(root)
    again = run(root, union(tars=PICTURES, films=FILMS), workers=2, backend="process")
    assert (again["decoded_now"], again["gone"]) == (0, 0)
    assert outputs(root) == before, "neither workers nor the order of members change anything"
    shutil.rmtree(root / "data")
    shutil.rmtree(root / "work")
    run(root, union(tars=PICTURES, films=FILMS), workers=2, backend="process")
    assert outputs(root) == before


@only_here
def test_the_clips_are_those_of_one_folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    run(root, union(films=FILMS, tars=PICTURES))
    one = tmp_path_factory.mktemp("one")
    shutil.copytree(root / "videos/films", one / "videos/x")
    with tarfile.open(root / "videos/pictures/0.tar") as archive:
        archive.extractall(one / "videos/x", filter="data")
    write_list(one / "videos", *(f"x/{name},c" for name in ("a.mp4", "b.mp4", "0.png", "1.png")))
    run(one, {"source": LIST})
    assert clips(one) == clips(root)
    before = clips(root)
    figures = run(root, union(pictures=PICTURES, moved=FILMS))
    assert (figures["decoded_now"], figures["gone"], clips(root)) == (0, 6, before), "another name decodes nothing"


@only_here
def test_a_column_of_the_users_cannot_be_called_member(root: Path) -> None:
    (root / "videos/films/t.csv").write_text("path,caption,member\na.mp4,film a,3\n")
    numbered = member(LIST | {"kind": "list", "number_columns": ["member"]}, "films")
    with pytest.raises(ConfigurationError, match="the column 'member' of your data has the name of a union's own"):
        run(root, union(films=numbered, tars=PICTURES))


@only_here
def test_equal_bytes_are_one_source_of_the_first_name(root: Path) -> None:
    shutil.copy(root / "videos/films/a.mp4", root / "videos/films/copy.mp4")
    shutil.copytree(root / "videos/films", root / "videos/others")
    write_list(root / "videos/others", "a.mp4,other a", "c.mp4,other c", "copy.mp4,other copy")
    others = member(LIST, "others")
    figures = run(root, union(films=FILMS, others=others))
    assert (figures["inputs"], figures["accepted"]) == (7, 3)
    assert {name: row.caption for name, row in manifest(root).items()} == {
        "films/a.mp4": "film a", "films/b.mp4": "film b", "others/c.mp4": "other c",
    }  # fmt: skip
    causes = {row.source: row.cause for row in read_rejects(Paths(root).rejects) if row.code == "duplicate"}
    assert causes == dict.fromkeys(("others/a.mp4", "others/copy.mp4"), "the same bytes as films/a.mp4")
    before = clips(root)
    run(root, union(z=FILMS, others=others))
    assert manifest(root)["others/a.mp4"].caption == "other a", "the name decides"
    assert rejects(root)["z/a.mp4"] == "duplicate"
    assert clips(root) == before


def test_a_video_of_one_frame_is_a_still_where_the_member_says_so(tmp_path: Path) -> None:
    for number, name in enumerate(("strict/one", "strict/film", "easy/one", "easy/other")):
        video(tmp_path / f"videos/{name}.mp4", number % 2, num_frames=20 if "film" in name else 1)
    strict, easy = (member(FOLDER, path, caption_required=False, images=path == "easy") for path in ("strict", "easy"))
    run(tmp_path, {"source": FOLDER | {"patterns": ["strict/*"]}, "images": False, "caption_required": False})
    alone = {row.source: (row.code, row.cause) for row in read_rejects(Paths(tmp_path).rejects)}
    for names in (("a", "b"), ("b", "a")):
        run(tmp_path, union(**{names[0]: strict, names[1]: easy}))
        kinds = {name: row.kind for name, row in manifest(tmp_path).items()}
        assert kinds == {
            f"{names[0]}/film.mp4": "video", f"{names[1]}/one.mp4": "image", f"{names[1]}/other.mp4": "image",
        }  # fmt: skip
        refused = {row.source: (row.code, row.cause) for row in read_rejects(Paths(tmp_path).rejects)}
        assert refused == {f"{names[0]}/one.mp4": alone["strict/one.mp4"]}, "as alone, and its bytes are not used"


@only_here
def test_the_cache_is_read_once_per_source(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(root / "videos/films/a.mp4", root / "videos/films/c.mp4")
    write_list(root / "videos/films", "a.mp4,film a", "b.mp4,film b", "c.mp4,as a")
    got, classify = Counter[str](), reading._classify

    class Counting(ClipCache):
        def get(self, source: SourceFile) -> SourceEntry | None:
            got[source.name] += 1
            return super().get(source)

    def counted(
        listed: list[Source], rule: ClipRule, cache: ClipCache, ingest: IngestConfig, bounds: ClipBounds
    ) -> reading.Read:
        return classify(listed, rule, Counting(cache.folder.parent, rule), ingest, bounds)

    monkeypatch.setattr(reading, "_classify", counted)
    run(root, union(films=FILMS | {"images": True}, tars=PICTURES))
    assert sorted(got.values()) == [1, 1, 1, 1], "the entry of a duplicate is not needed"
    got.clear()
    run(root, union(films=FILMS, tars=PICTURES))
    assert sorted(got.values()) == [1, 1, 1, 2], "unless it may be one frame that only another member takes"


def test_every_video_gives_clips_if_a_clip_is_one_frame(tmp_path: Path) -> None:
    video(tmp_path / "videos/v/a.mp4", 0)
    pictures(tmp_path / "videos/pictures/0.tar", "picture")
    films = member(FOLDER, "v", caption_required=False, images=False)
    figures = run(tmp_path, union(v=films, p=PICTURES), num_frames=1, max_clips_per_video=2)
    assert (figures["accepted"], figures["images"], rejects(tmp_path)) == (2, 3, {})


# --------------------------------------------------------------------------------------------------------------- splits


@only_here
def test_each_member_has_its_own_share(root: Path) -> None:
    run(root, union(films=FILMS | {"held_out": 1.0}, tars=PICTURES))
    assert {name: row.split for name, row in manifest(root).items()} == {
        "films/a.mp4": "held_out", "films/b.mp4": "held_out",
        "tars/0.tar::0.png": "train", "tars/0.tar::1.png": "train",
    }  # fmt: skip


@only_here
def test_where_shares_leave_nothing_one_of_the_member_that_has_one_is_held_out(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video(root / "videos/other/o.mp4", 9)
    other = member(FOLDER, "other", caption_required=False)
    for share, kept in ((1e-7, {"other/o.mp4"}), (0.0, set())):
        run(root, union(films=FILMS, other=other | {"held_out": share}, tars=PICTURES))
        assert {name for name, row in manifest(root).items() if row.split == "held_out"} == kept
        assert ("one video is held out" in capsys.readouterr().out) == bool(kept)
    run(root, union(films=FILMS, tars=PICTURES | {"held_out": 1e-7}))
    assert {row.split for row in manifest(root).values()} == {"train"}
    assert "none is held out" in capsys.readouterr().out


def test_no_member_trains_on_what_a_list_of_another_holds_out(tmp_path: Path) -> None:
    """The same bytes as a whole, as a span, and in another collection's held-out list."""
    for number, name in enumerate(("k/i_000001_000011", "k/j_000001_000011", "own/new")):
        video(tmp_path / f"videos/{name}.mp4", number, num_frames=38)
    (tmp_path / "classes.txt").write_text("yoga\n")
    rows = "".join(f"yoga,{name},1,11,{split}\n" for name, split in (("i", "train"), ("j", "val")))
    (tmp_path / "videos/k/k.csv").write_text(f"label,youtube_id,time_start,time_end,split\n{rows}")
    shutil.copy(tmp_path / "videos/k/j_000001_000011.mp4", tmp_path / "videos/own/same.mp4")
    write_list(tmp_path / "videos/own", "same.mp4,a", "new.mp4,b")
    (tmp_path / "videos/own/spans.csv").write_text("path,caption,s,e\nsame.mp4,c,0.2,1.2\nnew.mp4,d,0.2,1.2\n")
    spans = LIST | {"tables": ["spans.csv"], "span_columns": ["s", "e"]}
    members = {
        "a": member(LIST, "own"), "b": member(spans, "own"), "k": member(KINETICS, "k", classes="classes.txt"),
    }  # fmt: skip
    run(tmp_path, union(**members) | {"classes": "classes.txt"})
    assert {name: row.split for name, row in manifest(tmp_path).items()} == {
        "a/same.mp4": "held_out", "b/same.mp4#t=0.2,1.2": "held_out", "a/new.mp4": "train",
        "b/new.mp4#t=0.2,1.2": "train", "k/i_000001_000011.mp4": "train",
    }  # fmt: skip
    assert rejects(tmp_path) == {"k/j_000001_000011.mp4": "duplicate"}


@pytest.mark.parametrize("num_videos", [1, 2])
def test_spans_of_the_only_video_are_trained_on(
    tmp_path: Path, num_videos: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for number in range(num_videos):
        video(tmp_path / f"videos/{number}.mp4", number, num_frames=40)
        rows += [f"{number}.mp4,x,0,0.8", f"{number}.mp4,y,0.8,1.6"]
    write_list(tmp_path / "videos", *rows, header="path,caption,s,e")
    figures = run(tmp_path, {"source": LIST | {"span_columns": ["s", "e"]}, "held_out": 1e-9})
    assert figures["accepted"] == 2 * num_videos
    by_video = {(row.source_sha256, row.split) for row in read_manifest(Paths(tmp_path).manifest)}
    assert sorted(split for _, split in by_video) == ["held_out", "train"][2 - num_videos :]
    assert ("none is held out" in capsys.readouterr().out) == (num_videos == 1)


@pytest.mark.parametrize("name", ["a", "z"])
def test_no_member_trains_on_what_the_share_of_another_holds_out(tmp_path: Path, name: str) -> None:
    """Whichever member's name comes first, and so has the source: a share counts, as a list does."""
    for number in range(3):
        video(tmp_path / f"videos/all/{number}.mp4", number)
    shutil.copytree(tmp_path / "videos/all", tmp_path / "videos/kept")
    (tmp_path / "videos/kept/0.mp4").unlink()
    everything, kept = (member(FOLDER, path, caption_required=False) for path in ("all", "kept"))
    run(tmp_path, union(**{name: everything, "b": kept | {"held_out": 1.0}}))
    digests = {sha256_file(tmp_path / f"videos/all/{number}.mp4"): number for number in range(3)}
    rows = read_manifest(Paths(tmp_path).manifest)
    assert {digests[row.source_sha256]: row.split for row in rows} == {0: "train", 1: "held_out", 2: "held_out"}
    assert set(rejects(tmp_path)) == {f"{max(name, 'b')}/{number}.mp4" for number in (1, 2)}


# --------------------------------------------------------------------------------------------------------------- limits


@only_here
def test_the_limit_applies_to_each_member(root: Path) -> None:
    """Half of the films are refused, a third of all inputs."""
    both = union(films=FILMS, tars=PICTURES)
    with pytest.raises(RejectLimitError, match=r"2 of 4 inputs of the member 'films' were rejected \(") as caught:
        run(root, both, reject_limit=0.4)
    assert caught.value.exit_status == 3
    assert len(rejects(root)) == 2
    assert run(root, both, reject_limit=0.5)["accepted"] == 4


@only_here
def test_a_member_without_anything_is_not_overlooked(root: Path) -> None:
    for name in "abc":  # an error page, say: what is a duplicate of it has no accepted source either
        (root / f"videos/films/{name}.mp4").write_bytes(b"no video")
    both = union(films=FILMS, tars=PICTURES)
    with pytest.raises(
        RejectLimitError,
        match=r"none of 4 inputs of the member 'films' was accepted \(1 no_caption, 1 missing, 1 format, 1 duplicate\)",
    ):
        run(root, both, reject_limit=1.0)
    (root / "videos/films/t.csv").write_text("path,caption\n")
    with pytest.raises(RejectLimitError, match=r"none of 0 inputs of the member 'films' .*the dataset is empty"):
        run(root, both, reject_limit=1.0)


@only_here
def test_collections_may_overlap(root: Path) -> None:
    """A subset of another collection is not a failure; what else is refused of it counts as ever."""
    shutil.copytree(root / "videos/films", root / "videos/subset")
    write_list(root / "videos/subset", "a.mp4,again", "b.mp4,again")
    subset = member(LIST, "subset")
    figures = run(root, union(films=FILMS, subset=subset), reject_limit=0.5)
    assert figures["members"] == {"films": "2 of 4 inputs", "subset": "0 of 2 inputs"}
    write_list(root / "videos/subset", "a.mp4,again", "b.mp4,again", "gone.mp4,x", "lost.mp4,x")
    run(root, union(films=FILMS, subset=subset), reject_limit=0.5)
    (root / "videos/films/t.csv").write_text("path,caption\na.mp4,a\nb.mp4,b\n")
    with pytest.raises(RejectLimitError, match=r"2 of 4 inputs of the member 'subset' .*2 duplicate"):
        run(root, union(films=FILMS, subset=subset), reject_limit=0.4)


# ---------------------------------------------------------------------------------------------------- servers, inspect


@pytest.mark.slow
@only_here
def test_a_member_in_a_bucket(root: Path, bucket: Bucket) -> None:
    run(root, union(films=FILMS, tars=PICTURES))
    local = outputs(root)
    remote.upload(root / "videos/pictures/0.tar", f"{bucket.url}/pictures/0.tar")
    shutil.rmtree(root / "videos/pictures")
    figures = run(root, union(films=FILMS, tars=PICTURES | {"path": f"{bucket.url}/pictures"}))
    assert (figures["accepted"], figures["gone"]) == (4, 0)
    assert outputs(root) == local, "where a member is stored changes nothing"


def test_a_remote_file_of_two_members_is_fetched_and_cut_once(web: Web, tmp_path: Path) -> None:
    web.files["/a.mp4"] = video(tmp_path / "a.mp4", 0).read_bytes()
    for name in ("p", "q"):
        write_list(tmp_path / f"videos/{name}", f"{web.url}/a.mp4,about {name}")
    figures = run(tmp_path, union(p=member(LIST, "p"), q=member(LIST, "q")))
    assert web.fetched() == ["/a.mp4"]
    assert (figures["decoded_now"], figures["accepted"]) == (1, 1)
    assert rejects(tmp_path) == {f"q/{web.url}/a.mp4": "duplicate"}


def test_doctor_asks_for_credentials_for_a_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "s3_credentials", lambda: None)
    settings = params(dataset__descriptor="datasets/u.yaml")
    (tmp_path / "datasets").mkdir()
    for path, found in (("here", []), ("s3://far/b", ["no credentials for s3://far/b"])):
        descriptor = describe(**union(a=member(FOLDER, "."), b=member(FOLDER, path)))
        (tmp_path / "datasets/u.yaml").write_text(descriptor.model_dump_json())
        assert [check.found for check in doctor._s3(settings, tmp_path)] == found


@only_here
def test_inspect_counts_by_member(root: Path) -> None:
    descriptor = describe(**union(films=FILMS | {"held_out": 1.0}, tars=PICTURES))
    listing = list_items(descriptor, root, "videos", 40)
    refused = [(refusal.source, refusal.code, refusal.cause) for refusal in listing.refusals]
    pictures_found = {"name": "tars", "inputs": 2, "videos": 0, "images": 2, "held_out": 0, "rejects": []}
    assert inspected(descriptor, listing, refused) == [
        {"name": "films", "inputs": 4, "videos": 2, "images": 0, "held_out": 0,
         "rejects": [("missing", 1), ("no_caption", 1)]},
        pictures_found,
    ]  # fmt: skip
    (root / "videos/films/b.mp4").write_bytes(b"no video")
    run(root, union(films=FILMS | {"held_out": 1.0}, tars=PICTURES))
    refused = [(row.source, row.code, row.cause) for row in read_rejects(Paths(root).rejects)]
    rows = read_manifest(Paths(root).manifest)
    assert inspected(descriptor, rows, refused) == [
        {"name": "films", "inputs": 4, "videos": 1, "images": 0, "held_out": 1,
         "rejects": [("format", 1), ("missing", 1), ("no_caption", 1)]},
        pictures_found,
    ]  # fmt: skip
    assert sum(Counter(rejects(root).values()).values()) == 3
    assert inspected(describe(FOLDER), rows, refused) is None
