"""Several collections as one dataset: each by its own rules, called by its own name, from its own folder."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.s3 import Bucket
from tests.support.settings import compute_settings
from tests.support.sources import by_source, codes, describe, list_source, member, touch, union
from walt.core import remote
from walt.core.config import parse_section
from walt.core.errors import ConfigurationError, StorageError
from walt.core.paths import Paths
from walt.ingest.config import DatasetConfig, Descriptor
from walt.ingest.prepare import prepare
from walt.ingest.sources.items import Listing

COMPUTE = compute_settings(workers=1)
FOLDER = {"kind": "folder", "patterns": ["**/*"]}
CAPTIONED = {
    "kind": "captioned_folder", "captions": "captions.csv", "path_column": "path", "caption_column": "caption",
}  # fmt: skip
TARS = {"kind": "webdataset", "tars": ["*.tar"], "caption": "txt", "damaged": "stop"}
KINETICS = {"kind": "kinetics", "tables": ["k.csv"], "videos": "", "absent": "refuse"}
SHAPES = {"kind": "shapes", "videos": 2, "images": 1, "size": 16, "num_frames": 5, "fps": 8, "seed": 0}


def captioned(folder: Path, **captions: str) -> None:
    """Files ``NAME.mp4`` of one byte, and their table."""
    touch(folder, *(f"{name}.mp4" for name in captions))
    rows = "".join(f"{name}.mp4,{caption}\n" for name, caption in captions.items())
    (folder / "captions.csv").write_text(f"path,caption\n{rows}")


def tar(file: Path, members: dict[str, bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for name, data in members.items():
            (file.parent / "member").write_bytes(data)
            archive.add(file.parent / "member", name)
    (file.parent / "member").unlink()


# ------------------------------------------------------------------------------------------------------------- listing


def test_two_collections_of_different_kinds(tmp_path: Path) -> None:
    captioned(tmp_path / "films", a="a cat", b="")
    touch(tmp_path, "films/still.png")
    tar(tmp_path / "deep/pictures/0.tar", {"a.jpg": b"x", "a.txt": b"a dog", "b.jpg": b"x", "../c.jpg": b"x"})
    both = union(
        films=member(CAPTIONED, "films", images=False, held_out=0.25),
        tars=member(TARS, "deep/pictures", caption_required=False),
    )
    found = list_source(tmp_path, **both)
    items = by_source(found)
    assert {name: (item.kind, item.caption) for name, item in items.items()} == {
        "films/a.mp4": ("video", "a cat"),
        "tars/0.tar::a.jpg": ("image", "a dog"), "tars/0.tar::b.jpg": ("image", None),
    }  # fmt: skip
    assert codes(found) == {
        "films/b.mp4": "no_caption", "films/still.png": "image", "tars/0.tar::../c.jpg": "outside",
    }  # fmt: skip
    assert items["films/a.mp4"].path == str(tmp_path / "films/a.mp4")
    assert {name: (item.stills, item.held_out_share) for name, item in items.items()} == {
        "films/a.mp4": (False, 0.25), "tars/0.tar::a.jpg": (True, 0.0), "tars/0.tar::b.jpg": (True, 0.0),
    }  # fmt: skip
    assert {*found.sources()} == {*items, *codes(found)}


def test_a_member_lists_what_the_dataset_lists_alone(tmp_path: Path) -> None:
    captioned(tmp_path / "x", a="a cat", b="", c="\0")
    alone = list_source(tmp_path, CAPTIONED, "x")
    together = list_source(tmp_path, **union(m=member(CAPTIONED, "x"), other=member(FOLDER, "x")))

    def of_member(listing: Listing, prefix: str) -> set[tuple[str, str]]:
        found = [(item.source, str(item.caption)) for item in listing.items]
        found += [(refusal.source, refusal.cause) for refusal in listing.refusals]
        return {(name.removeprefix(prefix), said) for name, said in found if name.startswith(prefix)}

    assert of_member(alone, "") == of_member(together, "m/")
    assert len(of_member(alone, "")) == 3


def test_equal_names_are_two_inputs_and_the_order_in_the_file_changes_nothing(tmp_path: Path) -> None:
    captioned(tmp_path / "one", a="first")
    captioned(tmp_path / "two", a="second")
    one, two = member(CAPTIONED, "one"), member(CAPTIONED, "two")
    found = list_source(tmp_path, **union(y=one, x=two))
    assert [(item.source, item.caption) for item in found.items] == [("x/a.mp4", "second"), ("y/a.mp4", "first")]
    other = list_source(tmp_path, **union(x=two, y=one))
    assert (other.items, other.refusals) == (found.items, found.refusals)


def test_members_may_share_a_folder(tmp_path: Path) -> None:
    """Two tables beside each other, say."""
    captioned(tmp_path, a="a cat")
    both = union(p=member(CAPTIONED, "."), q=member(FOLDER | {"patterns": ["a.*"]}, "./", caption_required=False))
    assert [*by_source(list_source(tmp_path, **both))] == ["p/a.mp4", "q/a.mp4"]


def test_a_member_in_a_bucket_beside_one_that_is_here(bucket: Bucket, tmp_path: Path) -> None:
    captioned(tmp_path / "here", a="a cat")
    captioned(tmp_path / "made", a="a dog")
    for file in (tmp_path / "made").iterdir():
        remote.upload(file, f"{bucket.url}/far/below/{file.name}")
    url = f"{bucket.url}/far/below"
    both = union(far=member(CAPTIONED, url), here=member(CAPTIONED, "here"))
    found = by_source(list_source(tmp_path, **both))
    assert {name: (item.path, item.caption) for name, item in found.items()} == {
        "far/a.mp4": (f"{url}/a.mp4", "a dog"), "here/a.mp4": (str(tmp_path / "here/a.mp4"), "a cat"),
    }  # fmt: skip
    below = union(far=member(CAPTIONED, "below"), all=member(FOLDER, ".", caption_required=False))
    found = by_source(list_source(tmp_path, path=f"{bucket.url}/far/", **below))
    assert {name: item.path for name, item in found.items()} == {
        "far/a.mp4": f"{url}/a.mp4", "all/below/a.mp4": f"{url}/a.mp4",
    }  # fmt: skip
    with pytest.raises(StorageError, match="no such bucket"):
        list_source(tmp_path, **union(far=member(FOLDER, "s3://no-such-bucket-here/x")))


# -------------------------------------------------------------------------------------------------------------- classes


def test_one_list_of_classes_for_all(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("arm wrestling\nyoga\n")
    touch(tmp_path, "k/yoga/i_000001_000011.mp4")
    (tmp_path / "k/k.csv").write_text("label,youtube_id,time_start,time_end,split\nyoga,i,1,11,val\n")
    tar(tmp_path / "t/0.tar", {"a.jpg": b"x", "a.cls": b"1", "b.jpg": b"x", "b.cls": b"2"})
    kinetics, tars = member(KINETICS, "k", classes="c.txt"), member(TARS, "t", classes="c.txt", caption_required=False)
    found = list_source(tmp_path, classes="c.txt", **union(k=kinetics, t=tars))
    labels = {name: (item.label, item.split) for name, item in by_source(found).items()}
    assert labels == {"k/yoga/i_000001_000011.mp4": (1, "held_out"), "t/0.tar::a.jpg": (1, None)}
    assert codes(found) == {"t/0.tar::b.jpg": "bad_label"}

    found = list_source(tmp_path, classes="c.txt", **union(k=kinetics, t=tars | {"classes": None}))
    assert {name: item.label for name, item in by_source(found).items()} == {
        "k/yoga/i_000001_000011.mp4": 1, "t/0.tar::a.jpg": None, "t/0.tar::b.jpg": None,
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"^source\.members\.k: a source of kind kinetics needs .*'classes'"):
        list_source(tmp_path, classes="c.txt", **union(k=kinetics | {"classes": None}, t=tars))


def test_classes_of_another_list_are_refused(tmp_path: Path) -> None:
    """By the keys, before anything is read; and by the adapter, where a list's own classes are others."""
    (tmp_path / "c.txt").write_text("yoga\n")
    kinetics = member(KINETICS, "k", classes="c.txt")
    with pytest.raises(ConfigurationError, match=r"source\.members\.t\.classes is 'd\.txt', but classes is c\.txt"):
        list_source(tmp_path, classes="c.txt", **union(k=kinetics, t=member(TARS, "t", classes="d.txt")))
    with pytest.raises(ConfigurationError, match=r"source\.members\.k\.classes is 'c\.txt', but classes is null"):
        list_source(tmp_path, **union(k=kinetics))
    with pytest.raises(ConfigurationError, match=r"classes is c\.txt, but no member of the union has classes"):
        list_source(tmp_path, classes="c.txt", **union(t=member(TARS, "t")))
    (tmp_path / "k/ucfTrainTestlist").mkdir(parents=True)
    (tmp_path / "k/ucfTrainTestlist/classInd.txt").write_text("1 ApplyEyeMakeup\n")
    ucf = {"kind": "ucf101", "videos": "v", "lists": "ucfTrainTestlist", "split": 1, "absent": "skip"}
    with pytest.raises(ConfigurationError, match=r"^source\.members\.u: .*its 1 classes are not the 1 of the desc"):
        list_source(tmp_path, classes="c.txt", **union(u=member(ucf, "k", classes="c.txt")))


# ------------------------------------------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "gone"}, r"^source\.members\.films\.path: .*/gone: no such folder"),
        ({"path": "https://host/x"}, r"^source\.members\.films\.path: https://host/x: only s3:// has a listing"),
        ({"path": "/etc"}, r"source\.members\.films\.path: '/etc' leaves the dataset's folder"),
        ({"path": "a/../../b"}, r"source\.members\.films\.path: 'a/\.\./\.\./b' leaves the dataset's folder"),
        ({"source": CAPTIONED | {"captions": "no.csv"}}, r"^source\.members\.films: .*no\.csv: no such file"),
        ({"source": CAPTIONED | {"path_column": "pth"}}, r"^source\.members\.films: .*no column 'pth'; did you mean"),
        (
            {"source": union(x=member(FOLDER, "."))["source"]},
            r"films\.source\.kind': 'union' is not one of .*webdataset",
        ),
        ({"pth": "."}, r"unknown key 'source\.members\.films\.pth'; did you mean 'path'"),
        ({"source": CAPTIONED | {"caption": "x"}}, r"unknown key 'source\.members\.films\.source\.caption'; did you"),
    ],
)
def test_the_member_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    captioned(tmp_path / "films", a="a cat")
    with pytest.raises(ConfigurationError, match=message) as caught:
        list_source(tmp_path, **union(films=member(CAPTIONED, "films") | change))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


def test_a_member_may_have_the_name_of_a_key() -> None:
    wrong = member(FOLDER | {"paterns": []}, ".")
    with pytest.raises(
        ConfigurationError, match=r"'source\.members\.images\.source\.paterns'; did you mean 'patterns'"
    ):
        describe(**union(images=wrong))
    with pytest.raises(ConfigurationError, match=r"'source\.members\.path\.hold_out'; did you mean 'held_out'"):
        describe(**union(path=member(FOLDER, ".", hold_out=0.1)))


@pytest.mark.parametrize("name", ["", "a/b", ".a", "a b", "ü"])
def test_a_name_that_cannot_begin_a_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"source\.members: .*a member's name consists of"):
        describe(**union(**{name: member(FOLDER, ".")}))


@pytest.mark.parametrize(("key", "value"), [("caption_required", True), ("images", False), ("held_out", 0.1)])
def test_keys_of_members_must_be_null_in_the_dataset(key: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"{key} must be null: each member of the union says it"):
        describe(**union(x=member(FOLDER, ".")) | {key: value})
    with pytest.raises(ConfigurationError, match=rf"{key} is null, which only a union's is"):
        describe(FOLDER, **{key: None})


def test_no_members() -> None:
    with pytest.raises(ConfigurationError, match=r"key 'source\.members': .*at least 1"):
        describe(**union())


def test_it_survives_being_written() -> None:
    descriptor = describe(**union(x=member(FOLDER, "."), y=member(TARS, "s3://b/y", generator=None)))
    assert parse_section(descriptor.model_dump(mode="json"), Descriptor, "again") == descriptor


# -------------------------------------------------------------------------------------------------------- walt prepare


def run_prepare(root: Path, **members: dict[str, Any]) -> str:
    (root / "datasets").mkdir(exist_ok=True)
    descriptor = describe(**union(**members))
    (root / "datasets/u.yaml").write_text(json.dumps(descriptor.model_dump(mode="json")))
    return prepare(DatasetConfig(descriptor="datasets/u.yaml", path="data"), COMPUTE, Paths(root))


def test_prepare_makes_what_is_generated_and_checks_the_rest(tmp_path: Path) -> None:
    captioned(tmp_path / "data/films", a="a cat")
    made, films = member(CAPTIONED, "made", generator=SHAPES), member(CAPTIONED, "films")
    said = run_prepare(tmp_path, made=made, films=films)
    assert "made 2 clips and 1 stills" in said
    assert (tmp_path / "data/made/captions.csv").is_file()
    assert "are there already" in run_prepare(tmp_path, made=made, films=films)
    found = list_source(tmp_path, path="data", **union(made=made, films=films))
    assert len(found.items) == 4
    assert run_prepare(tmp_path, films=films) == "data: d is there"


def test_prepare_looks_at_every_member(tmp_path: Path) -> None:
    captioned(tmp_path / "data/a", a="a cat")
    (tmp_path / "data/b").mkdir()
    good = member(CAPTIONED, "a")
    with pytest.raises(ConfigurationError, match=r"^source\.members\.b: contains no input for b"):
        run_prepare(tmp_path, a=good, b=member(FOLDER, "b"))
    shutil.rmtree(tmp_path / "data/b")
    with pytest.raises(ConfigurationError, match=r"^source\.members\.b\.path: .*/data/b: no such folder"):
        run_prepare(tmp_path, a=good, b=member(FOLDER, "b"))
    with pytest.raises(ConfigurationError, match=r"not in a bucket"):
        run_prepare(tmp_path, a=good, b=member(CAPTIONED, "s3://bucket/b", generator=SHAPES))


def test_a_generated_folder_may_not_contain_another_members_files() -> None:
    made = member(CAPTIONED, "data", generator=SHAPES)
    for path in ("data", "data/videos", "./data/images/"):
        with pytest.raises(ConfigurationError, match=r"members\.made\.path is generated: 'films' cannot be inside it"):
            describe(**union(films=member(FOLDER, path), made=made))
    describe(**union(films=member(FOLDER, "data2"), made=made, far=member(FOLDER, "s3://data/x")))
