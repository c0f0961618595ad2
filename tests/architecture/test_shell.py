"""Names of files, captions and prompts are arguments of processes, never a shell's text, and no text is run as code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_NEVER = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "eval", "exec"}
_WORDS = {"shell", *(name.rpartition(".")[2] for name in _NEVER)}


def through_a_shell(source: str) -> list[int]:
    """Lines of calls that give a text to a shell, or run one as Python."""
    if not any(word in source for word in _WORDS):  # most files, which need not be parsed
        return []
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        call.lineno
        for call in calls
        if ast.unparse(call.func) in _NEVER or any(word.arg == "shell" for word in call.keywords)
    ]


@pytest.mark.parametrize("folder", ["walt", "flows"])
def test_nothing_goes_through_a_shell(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert {str(file): lines for file in files if (lines := through_a_shell(file.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize("bad", ["subprocess.run(a, shell=True)", "os.system(a)", "x = eval(a)", "Popen(a, shell=yes)"])
def test_a_shell_is_seen(bad: str) -> None:
    assert through_a_shell(f"def f(a):\n    {bad}\n") == [2]


def test_every_page_escapes_what_it_is_given() -> None:
    """Templates mark nothing as safe themselves."""
    templates = sorted((ROOT / "walt").rglob("*.jinja"))
    assert templates
    for template in templates:
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b", text), template
        assert "autoescape" not in text, template
