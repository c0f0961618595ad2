"""README and pyproject.toml name the same extras, and so do the messages that ask for one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OF_A_CLONE = {"dev", "readers", "docs"}
"""What only work on the code needs."""


def name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return found[0].lower()


def test_the_readme_lists_each_extra_that_a_user_may_want() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("| extra | for |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(PROJECT["optional-dependencies"].keys() - OF_A_CLONE)


def test_what_the_readme_says_is_in_the_base_install_is() -> None:
    base = {name(requirement) for requirement in PROJECT["dependencies"]}
    assert {name(requirement) for requirement in PROJECT["optional-dependencies"]["s3"]} <= base
    assert {"torch", "transformers", "dvc", "prefect", "mlflow", "fastapi"} <= base


def test_messages_and_documents_ask_for_extras_that_exist() -> None:
    places = [*(ROOT / "walt").rglob("*.py"), ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    wanted = {
        extra
        for place in places
        for extras in re.findall(r"(?<![\w-])walt\[([a-z,]+)\]", place.read_text(encoding="utf-8"))
        for extra in extras.split(",")
    }
    assert {"ray", "ui", "diffusers", "openlineage"} <= wanted
    assert wanted <= PROJECT["optional-dependencies"].keys()


def test_no_document_and_no_message_installs_the_other_project_of_this_name() -> None:
    """PyPI's ``walt`` is not this one: pip has to be given a path."""
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "infra").rglob("*.md")]
    code = [file for folder in ("walt", "flows", "infra", "benchmarks") for file in (ROOT / folder).rglob("*.py")]
    texts = [file.read_text(encoding="utf-8") for file in (*documents, *code)]
    asked = [found for text in texts for found in re.findall(r"pip install '?(\S*\bwalt\b)", text)]
    assert len(asked) > 8
    assert set(asked) == {"/path/to/walt"}
