"""The table of differences: every knob has a kind, and what differs is said knob by knob."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.knob_differences import COMMAND, ROOT, WRITTEN, as_markdown, as_text
from walt.training.differences import TABLE, Kind, find_differences, kind_of_knob, worst

OLD: dict[str, Any] = {
    "settings": {"seed": 0, "base": {"width": 8, "grid": [1, 2], "super_resolution": None}},
    "training": {"steps": 10, "log_every": 2, "optimizer": {"learning_rate": 1e-4, "betas": [0.9, 0.99]},
                 "forms": [{"batch_size": 2}, {"batch_size": 3}]},
    "data": {"clips": "aaaaaaaaaaaaaaaa"},
    "weights": {},
    "code": {"walt/nn/adaln.py": "1", "walt/nn/mixed.py": "1"},
    "compute": {"workers": 2},
}  # fmt: skip


def changed(old: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    key, _, rest = path.partition("/")
    return {**old, key: changed(old[key], rest, value) if rest else value}


def test_each_knob_means_what_the_written_list_says() -> None:
    assert as_text() == WRITTEN.read_text(encoding="utf-8"), f"run `{COMMAND}`, and look at what changed"


def test_the_page_for_operators_has_the_table() -> None:
    assert as_markdown() in (ROOT / "docs/training.md").read_text(encoding="utf-8"), f"`{COMMAND}` prints it"


def test_the_rows_are_unlike_and_end_with_what_holds_for_all_others() -> None:
    assert len({row.what for row in TABLE}) == len(TABLE)
    assert {row.kind for row in TABLE} == set(Kind)


@pytest.mark.parametrize("what", ["training.new_knob", "training.optimizer.new_knob", "a_new_heading", "data.new"])
def test_what_has_no_row_is_another_result(what: str) -> None:
    assert kind_of_knob(what.split(".")) is Kind.ANOTHER


@pytest.mark.parametrize(
    ("path", "value", "text", "kind"),
    [
        ("settings/seed", 1, "seed 0 -> 1", Kind.ANOTHER),
        ("settings/base/width", 9, "base.width 8 -> 9", Kind.ANOTHER),
        ("settings/base/grid", (1, 3), "base.grid [1, 2] -> [1, 3]", Kind.ANOTHER),
        ("settings/base/super_resolution", {"factor": 2}, 'base.super_resolution null -> {"factor": 2}', Kind.ANOTHER),
        ("settings/new", 3, "new absent -> 3", Kind.ANOTHER),
        ("training/optimizer/learning_rate", 5e-5, "train_base.optimizer.learning_rate 0.0001 -> 5e-05", Kind.ANOTHER),
        ("training/forms", [{"batch_size": 2}, {"batch_size": 4}],
         "train_base.forms.1.batch_size 3 -> 4", Kind.ANOTHER),
        ("training/forms", [{"batch_size": 2}],
         'train_base.forms [{"batch_size": 2}, {"batch_size": 3}] -> [{"batch_size": 2}]', Kind.ANOTHER),
        ("training/log_every", 3, "train_base.log_every 2 -> 3", Kind.HARMLESS),
        ("training/steps", 15, "train_base.steps 10 -> 15", Kind.LONGER),
        ("training/steps", 5, "train_base.steps 10 -> 5", Kind.ANOTHER),
        ("data/clips", "bbbbbbbbbbbbbbbb", "data.clips aaaaaaaa -> bbbbbbbb", Kind.ANOTHER),
        ("weights/start_from", "cccccccccc", "weights.start_from absent -> cccccccc", Kind.ANOTHER),
        ("compute/workers", 8, "compute.workers 2 -> 8", Kind.HARMLESS),
    ],
)  # fmt: skip
def test_a_difference_is_named_by_its_knob(path: str, value: Any, text: str, kind: Kind) -> None:
    found = find_differences(OLD, changed(OLD, path, value), "train_base")
    assert [(difference.text, difference.kind) for difference in found] == [(text, kind)]


def test_other_code_is_named_by_its_files() -> None:
    found = find_differences(OLD, {**OLD, "code": {"walt/nn/adaln.py": "2", "walt/nn/positions.py": "1"}}, "train_base")
    texts = ["walt/nn/adaln.py changed", "walt/nn/mixed.py is gone", "walt/nn/positions.py is new"]
    assert [difference.text for difference in found] == texts
    assert worst(found) is Kind.ANOTHER


def test_tuples_and_lists_are_one_value_but_true_is_not_1() -> None:
    assert not find_differences(OLD, changed(OLD, "settings/base/grid", (1, 2)), "train_base")
    assert find_differences({"settings": {"a": 1}}, {"settings": {"a": True}}, "train_base")


def test_the_worst_difference_decides() -> None:
    longer = changed(OLD, "training/steps", 20)
    both = changed(longer, "settings/seed", 1)
    harmless = changed(longer, "compute/workers", 1)
    assert worst(find_differences(OLD, OLD, "train_base")) is Kind.HARMLESS
    assert worst(find_differences(OLD, harmless, "train_base")) is Kind.LONGER
    assert worst(find_differences(OLD, both, "train_base")) is Kind.ANOTHER
