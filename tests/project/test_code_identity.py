"""What a stage's result depends on: exactly the files that can change it."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

from tests.support.package_copy import ROOT, copy_package, edit, edit_comment
from tests.support.stale_stages import COMMAND, TABLE, as_text, edited_one_by_one
from tests.support.traced_files import files_run
from walt.project import code_identity
from walt.project.code_identity import (
    CHANGES_NO_RESULT,
    changes_no_result,
    code_dependencies,
    code_digest,
    code_digests,
    tree_digest,
)
from walt.project.recipes import load_recipe
from walt.project.registry import STAGES, get_stage

MAKES_WEIGHTS_OR_NUMBERS = [
    "train-autoencoder", "encode-text", "encode-video", "train-base", "finetune-aspect", "train-sr-2x", "train-sr-4x",
]  # fmt: skip
CHECKS = {"field_validator", "model_validator"}


@pytest.mark.slow
def test_editing_a_file_makes_exactly_the_stages_of_the_table_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = edited_one_by_one(copy_package(tmp_path, monkeypatch))
    assert set(found) > {"walt/core/log.py", "walt/commands/doctor.py", "walt/stages/report.html.jinja"}
    assert as_text(found) == TABLE.read_text(encoding="utf-8"), f"run `{COMMAND}`, and look at what changed"


def stages_of_the_table(file: str) -> list[str]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return next((line.split(": ")[1].split() for line in lines if line.startswith(f"{file}: ")), [])


@pytest.mark.parametrize(
    "file",
    ["walt/core/log.py", "walt/core/errors.py", "walt/cli.py", "walt/commands/doctor.py", "walt/tracking/runs.py"],
)
def test_messages_progress_and_records_leave_every_stage_fresh(file: str) -> None:
    assert (ROOT / file).is_file()
    assert not stages_of_the_table(file)
    assert all(file not in code_dependencies(stage.module) for stage in STAGES)


def test_what_makes_names_and_digests_counts_and_titles_count_for_the_report() -> None:
    assert "ingest" in stages_of_the_table("walt/core/printable.py")
    assert set(stages_of_the_table("walt/core/digests.py")) == {stage.name for stage in STAGES}
    assert stages_of_the_table("walt/core/transformers.py") == ["report"]


def test_ingest_reports_and_sampling_leave_training_and_encoding_fresh() -> None:
    for name in MAKES_WEIGHTS_OR_NUMBERS:
        rooms = {file.split("/")[1] for file in code_dependencies(get_stage(name).module)}
        assert not rooms & {"ingest", "workers", "sampling", "evaluation", "pages", "commands", "tracking"}, name


@pytest.mark.parametrize(
    ("name", "most", "forbidden"),
    [
        ("train-base", 30, {"media", "ingest", "workers", "autoencoder", "text"}),
        ("train-autoencoder", 34, {"ingest", "workers", "transformer", "text"}),
        ("encode-video", 20, {"ingest", "workers", "transformer", "text", "training", "diffusion"}),
        ("encode-text", 14, {"media", "ingest", "workers", "autoencoder", "transformer", "training", "diffusion"}),
    ],
)
def test_a_stage_is_made_of_few_files(name: str, most: int, forbidden: set[str]) -> None:
    """A place to look at when something is imported that the stage does not need."""
    files = code_dependencies(get_stage(name).module)
    assert len(files) <= most, files
    assert not {file.split("/")[1] for file in files} & forbidden, files


def _files_loaded_by(module: str) -> set[str]:
    """Files of the package that importing a module reads where none of the package is loaded yet."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in sys.modules if name.split(".")[0] == "walt"]:
            patch.delitem(sys.modules, name)
        try:
            importlib.import_module(module)
            loaded = {name: found for name, found in sys.modules.items() if name.split(".")[0] == "walt"}
        finally:
            for name in [name for name in sys.modules if name.split(".")[0] == "walt"]:
                del sys.modules[name]
    return {Path(found.__file__ or "").relative_to(ROOT).as_posix() for found in loaded.values()}


@pytest.mark.parametrize("name", ["ingest", "encode-text", "train-base", "sample", "report"])
def test_code_dependencies_are_what_python_loads(name: str) -> None:
    """Not the generator against itself: the files that importing the stage's module really reads."""
    module = get_stage(name).module
    files = {file for file in _files_loaded_by(module) if not file.endswith("__init__.py")}
    files = {file for file in files if not changes_no_result(file)}
    assert len(files) > 5
    assert files <= set(code_dependencies(module))


def test_what_is_left_out_is_there_and_some_stage_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = set(CHANGES_NO_RESULT)
    monkeypatch.setattr(code_identity, "CHANGES_NO_RESULT", {})
    reached = {file for stage in STAGES for file in code_dependencies(stage.module)}
    for entry in entries:
        assert any(file == entry or file.startswith(f"{entry}/") for file in reached), f"{entry}: no stage reaches it"


@pytest.mark.parametrize(
    "file", [file for file, reason in CHANGES_NO_RESULT.items() if reason == "values, which DVC watches"]
)
def test_sections_that_are_left_out_have_fields_and_checks_only(file: str) -> None:
    """A property or a function would compute something of which DVC sees nothing."""
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        assert not isinstance(node, ast.FunctionDef), node.name
        for member in node.body if isinstance(node, ast.ClassDef) else []:
            if isinstance(member, ast.FunctionDef):
                called = [decorator.func for decorator in member.decorator_list if isinstance(decorator, ast.Call)]
                assert CHECKS & {name.id for name in called if isinstance(name, ast.Name)}, f"{file}: {member.name}"
                last = member.body[-1]
                assert isinstance(last, ast.Return), f"{file}: {member.name} returns what it was given"
                assert isinstance(last.value, ast.Name), f"{file}: {member.name} returns what it was given"


def test_a_file_that_only_passes_things_on_is_left_out_of_a_trace() -> None:
    files = files_run(lambda: load_recipe("demo"))
    assert "walt/project/params.py" in files
    assert not files & {"walt/core/config.py", "walt/training/config.py"}


def test_the_digest_is_of_contents_and_relative_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = code_digest("walt.stages.train_transformer")
    copy_package(tmp_path, monkeypatch)
    assert code_digest("walt.stages.train_transformer") == digest  # the same code in another place


def test_what_an_identity_has_as_a_value_can_be_left_out() -> None:
    module, file = "walt.stages.encode_text", "walt/text/tiny.py"
    assert code_digest(module, without=[file]) != code_digest(module)
    with pytest.raises(AssertionError, match=r"walt/core/log\.py"):
        code_digest(module, without=["walt/core/log.py"])
    with pytest.raises(AssertionError, match=r"walt\.stages\.nothing"):
        code_digest("walt.stages.nothing")


BEFORE = '''
"""Module."""
import math

def area(r: float) -> float:
    """Of a circle."""
    return math.pi * r**2  # square metres


class Shape:
    """A shape."""
    sides: int = 3
    """How many."""
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# square metres", "", True),
        ('"""Of a circle."""', '"""Of a disc, in m2."""', True),
        ('    """Of a circle."""\n', "", True),
        ('"""Module."""\n', "", True),
        ('    """A shape."""\n', "", True),
        ('    """How many."""\n', "", True),
        ("math.pi * r**2", "(math.pi\n            * (r ** 2))", True),
        ("r**2", "r**3", False),
        ("r**2", "r**2.0", False),
        ("r**2", "r**True", False),
        ("sides: int = 3", 'sides: int = "3"', False),
        ("r: float", "r: int", False),  # sections are read by their annotations
        ("import math\n", "import math\nimport cmath as math\n", False),
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(old: str, new: str, same: bool) -> None:
    assert BEFORE.count(old) == 1
    assert (tree_digest(BEFORE.replace(old, new)) == tree_digest(BEFORE)) is same


def test_no_file_of_a_stage_has_the_digest_of_another() -> None:
    digests = code_digests("walt.stages.train_transformer")
    assert list(digests) == code_dependencies("walt.stages.train_transformer")
    assert len(set(digests.values())) == len(digests) > 20


def test_a_template_counts_with_every_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digests("walt.stages.report")
    copy = copy_package(tmp_path, monkeypatch)
    edit(copy, "walt/stages/report.html.jinja")
    edit_comment(copy, "walt/stages/report.py")
    after = code_digests("walt.stages.report")
    assert {file for file in after if after[file] != before[file]} == {"walt/stages/report.html.jinja"}
