"""Every descriptor is valid, has its card and its classes, and what is wrong with one is a line that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from tests.support.sources import describe
from walt.core.config import load_section, parse_section
from walt.core.errors import ConfigurationError
from walt.ingest.config import Descriptor
from walt.ingest.sources.classes import read_classes
from walt.ingest.sources.kinds import OneSource, Union

REPOSITORY = Path(__file__).resolve().parents[2]
DESCRIPTORS = sorted((REPOSITORY / "datasets").glob("*.yaml"))
SECTIONS = ("## What it is", "## Licence", "## How to get it", "## Expected counts", "## On disk", "## Oddities")


def test_every_kind_of_source_has_a_descriptor_that_shows_it() -> None:
    """Of a user's own, in ``datasets/own``, nothing is asked."""
    descriptors = [load_section(path, Descriptor) for path in DESCRIPTORS]
    shown = {descriptor.source.kind for descriptor in descriptors}
    known = {get_args(kind.model_fields["kind"].annotation)[0] for kind in (*get_args(OneSource), Union)}
    assert shown == known


@pytest.mark.parametrize("path", DESCRIPTORS, ids=lambda path: path.stem)
def test_a_descriptor_is_valid_and_has_its_card(path: Path) -> None:
    descriptor = load_section(path, Descriptor)
    assert descriptor.name == path.stem
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert card.startswith(f"# {path.stem}\n")
    places = [card.find(f"\n{section}\n") for section in SECTIONS]
    assert -1 not in places
    assert places == sorted(places)
    texts = [card[start:end] for start, end in zip(places, [*places[1:], len(card)], strict=True)]
    assert all(len(text) > 40 for text in texts), "a section says something"


@pytest.mark.parametrize(
    ("name", "count"), [("ucf101", 101), ("kinetics600", 600), ("imagenet", 1000), ("shapes", None)]
)
def test_the_number_of_classes_is_known(name: str, count: int | None) -> None:
    classes = read_classes(load_section(REPOSITORY / f"datasets/{name}.yaml", Descriptor), REPOSITORY)
    assert (None if classes is None else len(classes)) == count


FOLDER = {"kind": "folder", "patterns": ["**/*"]}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("captioned_folder", r"d\.yaml: key 'source': .*captioned_folder"),
        ({}, r"d\.yaml: missing key 'source\.kind'"),
        ({"kind": "webvidd"}, r"key 'source\.kind': 'webvidd' is not one of .*webvid.*; did you mean 'webvid'\?"),
        ({"kind": "folder", "paterns": ["*"]}, r"unknown key 'source\.paterns'; did you mean 'patterns'\?"),
        ({"kind": "folder"}, r"missing key 'source\.patterns'"),
        ({"kind": "folder", "patterns": []}, r"key 'source\.patterns': "),
        ({"kind": "folder", "patterns": "*"}, r"key 'source\.patterns': .*found '\*'"),
        (FOLDER | {"captions": "captions.csv"}, r"key 'source\.captions': .*found 'captions\.csv'"),
    ],
)  # fmt: skip
def test_a_wrong_source_is_named_as_in_the_file(source: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        describe(source)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_keys_beside_the_source_keep_their_names() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown key 'hold_out'; did you mean 'held_out'\?"):
        describe(FOLDER, hold_out=0.1)
    generator = {"kind": "shapes", "videos": 1, "images": 1, "size": 8, "num_frames": 5, "fps": 8, "sed": 0}
    with pytest.raises(ConfigurationError, match=r"unknown key 'generator\.sed'; did you mean 'seed'\?"):
        describe(FOLDER, generator=generator)


def test_a_descriptor_survives_being_written() -> None:
    descriptor = describe(FOLDER, classes="classes.txt")
    assert parse_section(descriptor.model_dump(mode="json"), Descriptor, "again") == descriptor
