"""Other values for keys of a YAML file: only their own bytes change."""

from __future__ import annotations

import pytest

from walt.core.config import yaml_data
from walt.core.errors import ConfigurationError
from walt.project.recipes import recipe_text
from walt.project.yaml_values import with_values

TEXT = """\
# a head
train: # the section
  steps: 800   # of the base
  weights:
  other: {frozen: null, rate: 1.0e-3} # flow
name: "a # b"
"""


def test_only_the_values_change() -> None:
    values = {"train.steps": 30, "train.weights": "models:/walt-base/3", "train.other.frozen": "x", "name": None}
    assert with_values(TEXT, values, "p") == (
        TEXT.replace("800", "30").replace("weights:", 'weights: "models:/walt-base/3"').replace("null", "x")
        .replace('"a # b"', "null")
    )  # fmt: skip


@pytest.mark.parametrize("word", ["afresh", "go-on", "no", "null", "true", "1e-4", "-", "a: b", "on"])
def test_a_text_stays_a_text(word: str) -> None:
    assert yaml_data(with_values("a: 1\n", {"a": word}, "p")) == {"a": word}


def test_a_recipe_keeps_its_comments() -> None:
    text = recipe_text("demo")
    changed = with_values(text, {"train_base.steps": 7}, "p")
    lines = zip(text.splitlines(), changed.splitlines(), strict=True)
    assert [new for old, new in lines if old != new] == ["  steps: 7 # optimizer steps"]


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("a: {b: 1}\n", "a.c", "p: key 'a.c': expected a single value there"),
        ("a: {b: 1}\n", "a", "p: key 'a': expected a single value there"),
        ("a: &x 1\nb: *x\n", "b", "p: b: other keys share their values; write them out"),
        ("a: [1\n", "a", "p: not valid YAML: "),
    ],
)
def test_what_cannot_be_set_is_named(text: str, key: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        with_values(text, {key: 2}, "p")
    assert str(caught.value).startswith(said)
