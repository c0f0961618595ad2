"""Datasets with classes: UCF-101, Kinetics-600 and ImageNet, by their real annotation files where those are at hand."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.media import SHARED_DATA
from tests.support.sources import by_source, codes, list_source, touch
from walt.core.errors import ConfigurationError
from walt.ingest.sources.ucf101 import class_caption

REPOSITORY = Path(__file__).resolve().parents[3]
UCF = {"kind": "ucf101", "videos": "videos", "lists": "lists", "split": 1, "absent": "refuse"}
KINETICS = {"kind": "kinetics", "tables": ["*.csv"], "videos": "videos", "absent": "refuse"}
IMAGENET = {"kind": "imagenet", "class_index": "index.json", "train": "train", "held_out": None}


def annotations(*parts: str) -> Path:
    path = SHARED_DATA.joinpath("annotations", *parts)
    if not path.exists():
        pytest.skip("the real annotation files (../shared/data/annotations) are not here")
    return path


def class_file(root: Path, *names: str) -> str:
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in names))
    return "classes.txt"


def known_classes(root: Path, name: str) -> str:
    shutil.copy(REPOSITORY / "datasets/classes" / f"{name}.txt", root)
    return f"{name}.txt"


# -------------------------------------------------------------------------------------------------------------- UCF-101


def ucf_lists(root: Path, train: str, test: str, classes: str = "1 Archery\r\n2 HandstandPushups\r\n") -> None:
    (root / "lists").mkdir()
    for name, text in (("classInd", classes), ("trainlist01", train), ("testlist01", test)):
        (root / f"lists/{name}.txt").write_bytes(text.encode())


@pytest.mark.slow  # 13320 files
@pytest.mark.parametrize(("split", "num_train", "num_test"), [(1, 9537, 3783), (2, 9586, 3734)])
def test_the_real_lists_of_ucf101(tmp_path: Path, split: int, num_train: int, num_test: int) -> None:
    """As if all 13320 clips were there, each under the name that the lists give it."""
    shutil.copytree(annotations("ucf101"), tmp_path / "lists")
    for name in (f"trainlist{split:02d}.txt", f"testlist{split:02d}.txt"):
        clips = [line.split()[0] for line in (tmp_path / "lists" / name).read_text().splitlines()]
        for folder in {clip.partition("/")[0] for clip in clips}:
            (tmp_path / "videos" / folder).mkdir(parents=True, exist_ok=True)
        for clip in clips:
            (tmp_path / "videos" / clip).touch()
    found = list_source(tmp_path, UCF | {"split": split}, classes=known_classes(tmp_path, "ucf101"))
    assert found.refusals == []
    assert Counter(item.split for item in found.items) == {"train": num_train, "held_out": num_test}
    assert num_train + num_test == len(by_source(found)) == 13320
    assert {item.label for item in found.items} == set(range(101))
    captions = {item.label: item.caption for item in found.items}
    assert (captions[0], captions[36], captions[100]) == ("apply eye makeup", "handstand pushups", "yo yo")
    group = "v_HandStandPushups_g01_c01.avi"
    handstand = next(item for item in found.items if item.source.endswith(group))
    assert (handstand.source, handstand.label) == (f"HandstandPushups/{group}", 36)


@pytest.mark.parametrize("folder", ["HandstandPushups", "HandStandPushups"])
@pytest.mark.parametrize("name", ["HandstandPushups", "HandStandPushups"])
def test_both_spellings_of_handstand_pushups_are_found(tmp_path: Path, folder: str, name: str) -> None:
    ucf_lists(tmp_path, "HandstandPushups/v_HandStandPushups_g08_c01.avi 2\r\n", "Archery/v_Archery_g01_c01.avi\r\n")
    touch(tmp_path, f"videos/{folder}/v_{name}_g08_c01.avi")
    found = list_source(tmp_path, UCF, classes=class_file(tmp_path, "Archery", "HandstandPushups"))
    (item,) = found.items
    assert item.source == "HandstandPushups/v_HandStandPushups_g08_c01.avi"
    assert item.path == str(tmp_path / f"videos/{folder}/v_{name}_g08_c01.avi")
    assert (item.label, item.caption, item.split) == (1, "handstand pushups", "train")
    assert codes(found) == {"Archery/v_Archery_g01_c01.avi": "missing"}


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"classes": "1 Archery\r\n2 Biking\r\n"}, "classInd.txt: its 2 classes are not the 2 of the descriptor"),
        ({"classes": "1 Archery\r\n"}, "its 1 classes are not the 2"),
        ({"classes": "2 Archery\r\n1 HandstandPushups\r\n"}, r"classInd.txt, line 1: expected 1 NAME"),
        (
            {"train": "Archery/a.avi 2\n"},
            r"trainlist01.txt, line 1: label 2, but classInd.txt gives Archery the number 1",
        ),
        ({"test": "\r\nBiking/a.avi\r\n"}, r"testlist01.txt, line 2: 'Biking/a.avi' names no class"),
        ({"test": "a.avi\n"}, r"names no class"),
    ],
)
def test_lists_that_contradict_each_other(tmp_path: Path, lists: dict[str, str], message: str) -> None:
    ucf_lists(tmp_path, **({"train": "", "test": ""} | lists))
    with pytest.raises(ConfigurationError, match=message):
        list_source(tmp_path, UCF, classes=class_file(tmp_path, "Archery", "HandstandPushups"))


def test_ucf101_needs_its_lists_and_classes(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="kind ucf101 needs the descriptor's key 'classes'"):
        list_source(tmp_path, UCF)
    with pytest.raises(ConfigurationError, match=r"lists/classInd\.txt: no such file"):
        list_source(tmp_path, UCF, classes=class_file(tmp_path, "Archery"))
    ucf_lists(tmp_path, "", "")
    classes = class_file(tmp_path, "Archery", "HandstandPushups")
    with pytest.raises(ConfigurationError, match=r"lists/trainlist03\.txt: no such file"):
        list_source(tmp_path, UCF | {"split": 3}, classes=classes)
    with pytest.raises(ConfigurationError, match=r"source\.split"):
        list_source(tmp_path, UCF | {"split": 4}, classes=classes)


@pytest.mark.parametrize(
    ("name", "caption"), [("TaiChi", "tai chi"), ("CleanAndJerk", "clean and jerk"), ("Haircut", "haircut")]
)
def test_captions_come_from_the_names_of_classes(name: str, caption: str) -> None:
    assert class_caption(name) == caption


# ------------------------------------------------------------------------------------------------------------- Kinetics


def test_the_real_lists_of_kinetics600(tmp_path: Path) -> None:
    """As if all clips of the samples were there: the labels are the lines of the label map."""
    for name in ("val", "test"):
        shutil.copy(annotations("kinetics600", f"kinetics-600_{name}_sample.csv"), tmp_path / f"{name}.csv")
    labels = annotations("kinetics600", "label_map_k600.txt").read_text().splitlines()
    assert (REPOSITORY / "datasets/classes/kinetics600.txt").read_text().splitlines() == labels
    assert len(set(labels)) == 600
    for line in (tmp_path / "val.csv").read_text().splitlines()[1:]:
        label, name, start, end, _ = line.rsplit(",", 4)
        touch(tmp_path, f"videos/val/{label.strip(chr(34))}/{name}_{int(start):06d}_{int(end):06d}.mp4")
    for line in (tmp_path / "test.csv").read_text().splitlines()[1:]:
        name, start, end, _ = line.split(",")
        touch(tmp_path, f"videos/{name}_{int(start):06d}_{int(end):06d}.mp4")
    found = list_source(tmp_path, KINETICS, classes=known_classes(tmp_path, "kinetics600"), caption_required=False)
    assert found.refusals == []
    labelled = [item for item in found.items if item.label is not None]
    assert Counter(item.label for item in labelled) == dict.fromkeys(range(600), 3)
    assert all(item.caption == labels[item.label] for item in labelled if item.label is not None)
    assert {"backflip (human)", "massaging person's head"} <= {item.caption for item in labelled}
    unlabelled = [item for item in found.items if item.label is None]
    assert (len(unlabelled), {item.caption for item in unlabelled}) == (50, {None})
    assert {item.split for item in found.items} == {"held_out"}


KINETICS_HEADER = "label,youtube_id,time_start,time_end,split\n"


@pytest.mark.parametrize("folder", ["train/arm wrestling/", "arm wrestling/", "train/", ""])
def test_clips_are_found_by_split_by_class_by_both_or_flat(tmp_path: Path, folder: str) -> None:
    (tmp_path / "k.csv").write_text(KINETICS_HEADER + "arm wrestling,-_0abc,3,13,train\n")
    touch(tmp_path, f"videos/{folder}-_0abc_000003_000013.mp4")
    (item,) = list_source(tmp_path, KINETICS, classes=class_file(tmp_path, "abseiling", "arm wrestling")).items
    assert (item.label, item.caption, item.split) == (1, "arm wrestling", "train")
    assert item.source == f"videos/{folder}-_0abc_000003_000013.mp4"


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("abseiling,a,x,13,val", "bad_row"), ("abseiling,a,3,13,holdout", "bad_row"),
        ("abseiling,,3,13,val", "bad_row"), ("abseiling,a,3,,val", "bad_row"),
        ("abseilling,a,3,13,val", "unknown_class"),
        ("abseiling,b,3,13,val", "missing"), ("abseiling,../a,3,13,val", "outside"), (",a,3,13,test", "no_caption"),
    ],
)  # fmt: skip
def test_kinetics_rows_that_are_wrong(tmp_path: Path, row: str, code: str) -> None:
    (tmp_path / "k.csv").write_text(f"{KINETICS_HEADER}{row}\n")
    touch(tmp_path, "videos/a_000003_000013.mp4")
    found = list_source(tmp_path, KINETICS, classes=class_file(tmp_path, "abseiling"))
    assert [refusal.code for refusal in found.refusals] == [code]
    assert found.items == []


def test_a_clip_listed_under_two_labels_counts_once(tmp_path: Path) -> None:
    rows = "abseiling,a,3,13,val\narchery,a,3,13,val\nabseiling,a,13,23,val\n"
    (tmp_path / "k.csv").write_text(KINETICS_HEADER + rows)
    touch(tmp_path, "videos/a_000003_000013.mp4", "videos/a_000013_000023.mp4")
    found = list_source(tmp_path, KINETICS, classes=class_file(tmp_path, "abseiling", "archery"))
    assert len(found.items) == 2
    assert list(codes(found).values()) == ["duplicate_row"]


def test_kinetics_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    (tmp_path / "k.csv").write_text("label,youtube_ids,time_start,time_end,split\n")
    with pytest.raises(ConfigurationError, match=r"no column 'youtube_id'; did you mean 'youtube_ids'\?"):
        list_source(tmp_path, KINETICS, classes=class_file(tmp_path, "abseiling"))


# ------------------------------------------------------------------------------------------------------------- ImageNet


def test_the_real_class_index_of_imagenet(tmp_path: Path) -> None:
    shutil.copy(annotations("imagenet", "imagenet_class_index.json"), tmp_path / "index.json")
    wnids = {line.split()[0] for line in annotations("imagenet", "map_clsloc.txt").read_text().splitlines()}
    touch(tmp_path, *(f"train/{wnid}/{wnid}_1.JPEG" for wnid in wnids))
    found = list_source(tmp_path, IMAGENET, classes=known_classes(tmp_path, "imagenet"))
    assert found.refusals == []
    assert [item.label for item in found.items] == list(range(1000)), "labels follow the sorted wnids"
    assert (found.items[0].caption, found.items[2].caption) == ("tench", "great white shark")
    assert {item.kind for item in found.items} == {"image"}
    assert {item.split for item in found.items} == {None}


def test_the_development_kits_order_is_refused(tmp_path: Path) -> None:
    kit = annotations("imagenet", "map_clsloc.txt")
    shutil.copy(kit, tmp_path / "index.json")
    classes = known_classes(tmp_path, "imagenet")
    with pytest.raises(ConfigurationError, match=r"not a JSON mapping of index .* map_clsloc.txt has another order"):
        list_source(tmp_path, IMAGENET, classes=classes)
    order = {str(int(number) - 1): [wnid, name] for wnid, number, name in map(str.split, kit.read_text().splitlines())}
    (tmp_path / "index.json").write_text(json.dumps(order))
    with pytest.raises(ConfigurationError, match=r"n02100735 comes after n02119789, so the wnids are not sorted"):
        list_source(tmp_path, IMAGENET, classes=classes)


INDEX = {"1": ["n0002", "sea_shore"], "0": ["n0001", "cat"]}


def test_pictures_of_imagenet_folders(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(json.dumps(INDEX))
    touch(tmp_path, "train/n0001/a.JPEG", "train/n0002/a.JPEG", "train/n0003/a.JPEG", "train/n0001/notes.txt")
    touch(tmp_path, "val/n0002/b.JPEG", "train/c.JPEG")
    classes = class_file(tmp_path, "cat", "sea shore")
    found = list_source(tmp_path, IMAGENET | {"held_out": "val"}, classes=classes)
    assert {name: (item.label, item.caption, item.split) for name, item in by_source(found).items()} == {
        "train/n0001/a.JPEG": (0, "cat", "train"), "train/n0002/a.JPEG": (1, "sea shore", "train"),
        "val/n0002/b.JPEG": (1, "sea shore", "held_out"),
    }  # fmt: skip
    assert codes(found) == {"train/n0003/a.JPEG": "unknown_class", "train/c.JPEG": "unknown_class"}
    with pytest.raises(ConfigurationError, match="test: no such folder"):
        list_source(tmp_path, IMAGENET | {"held_out": "test"}, classes=classes)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"0": ["n0001", "cat"], "2": ["n0002", "sea_shore"]}, "its 2 keys are not 0 to 1"),
        ({"0": ["n0001", "cat"]}, "its 1 classes are not those of the descriptor"),
        ({"0": ["n0001", "dog"], "1": ["n0002", "sea_shore"]}, "its 2 classes are not those of the descriptor"),
        ({"0": ["n0002", "sea_shore"], "1": ["n0001", "cat"]}, "n0001 comes after n0002"),
        ({"0": "n0001"}, "not a JSON mapping"), ([1], "not a JSON mapping"),
    ],
)  # fmt: skip
def test_a_wrong_class_index_is_refused(tmp_path: Path, index: Any, message: str) -> None:
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigurationError, match=message):
        list_source(tmp_path, IMAGENET, classes=class_file(tmp_path, "cat", "sea shore"))
