"""Which commands ``walt`` has, and what it takes to add one."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from walt.cli import app
from walt.commands import listing
from walt.commands.listing import CommandFile, list_commands
from walt.core.errors import ConfigurationError
from walt.project.registry import STAGES, get_stage

PRINTING = {"annotated_doc", "attr", "attrs", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer"}
"""What Typer's help is printed with."""
HEAVY = ("torch", "mlflow", "prefect", "transformers", "ray", "webdataset", "matplotlib", "cv2")


def loaded_by(code: str) -> list[str]:
    """The packages of ``HEAVY`` that are imported after ``code`` has run."""
    program = f"{code}\nimport sys\nprint('\\nLOADED', *(name for name in {HEAVY!r} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return result.stdout.rpartition("LOADED")[2].split()


def packages_after(code: str) -> set[str]:
    """Packages that are installed, not of Python itself, and imported after ``code`` has run."""
    before = "import sys\nbefore = {*sys.modules}"  # what editable installs bring in before anything else
    after = "print('\\nLOADED', *{name.split('.')[0] for name in {*sys.modules} - before - sys.stdlib_module_names})"
    program = f"{before}\n{code}\n{after}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {*result.stdout.rpartition("LOADED")[2].split()} - {*sys.stdlib_module_names}


_HELP = "sys.argv = ['walt', '--help']\nimport walt.cli\ntry: walt.cli.app()\nexcept SystemExit: pass"


@pytest.mark.slow
def test_the_package_imports_nothing_and_the_help_only_what_prints_it() -> None:
    """What keeps `import walt` below 0.3 s and `walt --help` below 1 s."""
    assert packages_after("import walt, packaging") == {"walt", "packaging"}
    assert packages_after("import walt") == {"walt"}
    assert packages_after(_HELP) <= {"walt", *PRINTING}


def test_a_module_with_the_function_command_is_a_command(tmp_path: Path) -> None:
    (tmp_path / "two_words.py").write_text('def command() -> None:\n    """Help of\n    one.\n\n    More."""\n')
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy/command.py").write_text('raise ImportError\n\n\ndef command() -> None:\n    """Of heavy."""\n')
    (tmp_path / "heavy/work.py").write_text("def command() -> None: ...\n")
    (tmp_path / "helper.py").write_text("def run() -> None: ...\n")
    (tmp_path / "check.py").write_text('def command() -> None:\n    """Of check."""\n')
    assert list_commands(tmp_path) == [
        CommandFile("check", "walt.commands.check", "Of check."),  # those of FIRST come first
        CommandFile("heavy", "walt.commands.heavy.command", "Of heavy."),
        CommandFile("two-words", "walt.commands.two_words", "Help of\none.\n\nMore."),
    ]


@pytest.mark.slow
def test_each_command_is_shown_with_its_help_and_has_its_own() -> None:
    found = {command.name: command for command in list_commands()}
    assert {"init", "doctor", "inspect", "sample"} <= found.keys()
    assert set(listing.FIRST) <= found.keys()
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "400"}).output
    lines = {line.split()[1]: line for line in shown.splitlines() if line.startswith("│") and len(line.split()) > 2}
    for name, command in found.items():
        summary = " ".join(command.help.split("\n\n")[0].split())
        assert summary, f"{name} has no docstring"
        assert summary in lines[name]
        assert summary in CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "400"}).output
    assert list(lines)[list(lines).index(STAGES[0].name) :][: len(STAGES)] == [stage.name for stage in STAGES]
    assert found["sample"].help.startswith(get_stage("sample").summary)


@pytest.mark.slow
def test_help_imports_nothing_heavy() -> None:
    assert loaded_by("import matplotlib") == ["matplotlib"]
    helps = [[], *([command.name] for command in list_commands()), ["train-base"]]
    call = "CliRunner().invoke(app, [*arguments, '--help'])"
    imports = "from typer.testing import CliRunner\nfrom walt.cli import app"
    code = f"{imports}\nfor arguments in {helps!r}:\n    assert {call}.exit_code == 0, arguments"
    assert loaded_by(code) == []


@pytest.mark.parametrize(("typed", "meant"), [("inspct", "inspect"), ("train-bse", "train-base")])
def test_an_unknown_command_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    result = CliRunner().invoke(app, [typed])
    assert isinstance(result.exception, ConfigurationError)
    assert f"Did you mean '{meant}'" in str(result.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sample", "--nosuch"], "sample: no such option: --nosuch"),
        (["reconstruct"], "reconstruct: missing argument 'files' (`walt reconstruct --help` says what there is)"),
        (["train-base", "--afres"], "(Possible options: --afresh) (`walt train-base --help` says what there is)"),
        (["ingest", "x"], "ingest: got unexpected extra argument"),
        (["sample", "--prompt"], "sample: option '--prompt' requires an argument (`walt sample --help`"),
        (["sample", "--steps", "x"], "sample: invalid value for '--steps': 'x' is not a whole number ("),
        (["sample", "--seconds", "x"], "sample: invalid value for '--seconds': 'x' is not a number ("),
        (["inspect", "--clips", "-1"], "inspect: invalid value for '--clips': '-1' is below 0, the least ("),
        (["ui", "--port", "65536"], "ui: invalid value for '--port': '65536' is above 65535, the most ("),
        (["export", "clips"], "export: invalid value for 'what': 'clips' is not one of 'data', 'model' ("),
        (["--nosuch"], "no such option: --nosuch (`walt --help` says what there is)"),
    ],
)
def test_a_wrong_argument_is_one_line_as_all_errors_are(words: list[str], said: str) -> None:
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ConfigurationError)
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not result.output


def test_the_help_of_a_stage_names_what_it_reads_and_makes_and_its_settings() -> None:
    said = " ".join(CliRunner().invoke(app, ["ingest", "--help"], env={"COLUMNS": "400"}).output.split())
    assert "Reads <dataset.descriptor>, <dataset.path>, " in said
    assert "; writes data/clips, data/manifest, data/rejects.parquet, data/clip_rejects.parquet." in said
    assert "Settings: dataset, ingest, compute in params.yaml." in said
    said = CliRunner().invoke(app, ["train-base", "--help"], env={"COLUMNS": "400"}).output
    assert "Reads data/latents, data/text; writes models/base. It goes on from its last checkpoint." in said


def test_the_help_is_wrapped_to_the_window_and_shows_no_value_for_flags() -> None:
    lines = CliRunner().invoke(app, ["rollback", "--help"], env={"COLUMNS": "400"}).output.splitlines()
    assert any("refuses the release that lost it" in line and "what a release was made of." in line for line in lines)
    assert "<str>" in "".join(lines)
    lines = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "400"}).output.splitlines()
    assert any("begins with `walt init`" in line and "`walt COMMAND --help`" in line for line in lines)
    for words in (["rollback"], ["check"], ["ingest"], ["train-base"], []):
        assert "<bool>" not in CliRunner().invoke(app, [*words, "--help"]).output


def test_the_version_is_that_of_the_package() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.output) == (0, f"walt {metadata.version('walt')}\n")


def test_a_name_alone_shows_the_help() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert "train-base" in result.output


@pytest.mark.parametrize(
    "words",
    [
        ["table", "3c"], ["ui", "--port", "0"], ["describe"], ["status"], ["sample", "--prompt", "x"], ["inspect"],
        ["verify"], ["gc"], ["promote"], ["fetch"], ["compare", "a", "b"], ["convert-text-encoder", "x"], ["ingest"],
    ],
)  # fmt: skip
def test_a_folder_without_a_project_is_named_and_left_as_it_is(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ConfigurationError), result.output
    assert "`walt init`" in str(result.exception) or "x: no such folder" in str(result.exception)
    assert not list(tmp_path.iterdir())
