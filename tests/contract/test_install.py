"""``make install`` asks the indexes that pip's settings name, and compiles the project where Python would not."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from infra import install
from infra.install import pip_settings, uv_arguments, uv_environment

_ROOT = Path(__file__).resolve().parents[2]


def test_the_environment_wins_over_the_sections_of_files() -> None:
    lines = [
        ":env:.find-links='/wheels'",
        "global.find-links='/elsewhere'",
        "global.timeout='10'",
        "install.timeout='60'",
        "freeze.timeout='5'",
        "a line of another kind",
    ]
    assert pip_settings(lines) == {"find-links": "/wheels", "timeout": "60"}


def test_every_index_is_named_to_uv() -> None:
    settings = {
        "index-url": "https://mirror.example/simple",
        "extra-index-url": "\nhttps://one.example/simple\nhttps://two.example/simple",
        "constraint": "/etc/limits.txt",
        "no-index": "false",
        "pre": "true",
    }
    assert uv_arguments(settings) == [
        *("--index-url", "https://mirror.example/simple"),
        *("--extra-index-url", "https://one.example/simple"),
        *("--extra-index-url", "https://two.example/simple"),
        *("--constraints", "/etc/limits.txt"),
        "--prerelease=allow",
    ]


def test_what_the_environment_tells_uv_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "7")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    made = uv_environment({"timeout": "60", "cert": "/etc/own.pem", "proxy": "http://proxy.example:3128"})
    assert (made["UV_HTTP_TIMEOUT"], made["SSL_CERT_FILE"]) == ("7", "/etc/own.pem")
    assert made["HTTPS_PROXY"] == "http://proxy.example:3128"


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_a_package_of_pips_index_is_installed(tmp_path: Path, compiled: bool) -> None:
    """The index is a folder that only pip's settings name. Where Python writes no bytecode as it imports, it is there
    from the start."""
    if find_spec("uv") is None:
        pytest.skip("uv is not installed: make install could not have it")
    _wheel(tmp_path / "wheels", "walt_only_here", "1.0")
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nno-index = true\nfind-links =\n    {tmp_path / 'wheels'}\n", encoding="utf-8")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    command = [sys.executable, _ROOT / "infra/install.py", "--target", tmp_path / "installed", "walt-only-here"]
    variables |= {"PIP_CONFIG_FILE": str(settings), "PYTHONDONTWRITEBYTECODE": "1" if compiled else ""}
    subprocess.run(command, check=True, env=variables)
    assert (tmp_path / "installed/walt_only_here.py").is_file()
    assert len(list((tmp_path / "installed").rglob("walt_only_here*.pyc"))) == compiled


@pytest.mark.parametrize(
    ("writes_none", "arguments", "status", "compiled"),
    [
        (True, ["-e", ".[dev]"], 0, ["one", "two"]),
        (False, ["-e", ".[dev]"], 0, []),  # it does so as it imports them
        (True, ["-r", "requirements.txt"], 0, []),  # of other packages: nothing of this folder is installed
        (True, ["-e", ".[dev]"], 1, []),
    ],
)
def test_own_modules_are_compiled_where_python_writes_no_bytecode(
    writes_none: bool, arguments: list[str], status: int, compiled: list[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for file in ("walt/deep/one.py", "flows/two.py", "other/three.py"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    run, asked = subprocess.run, list[list[str]]()

    def without_installers(command: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        if "compileall" in command:
            return run(command, **settings)
        return subprocess.CompletedProcess(command, status if "uv" in command[:3] else 0, stdout="")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1" if writes_none else "")
    monkeypatch.setattr(sys, "dont_write_bytecode", writes_none)
    monkeypatch.setattr(subprocess, "run", without_installers)
    assert install.main(arguments) == status
    assert any(command[-len(arguments) :] == arguments and "uv" in command for command in asked)
    assert sorted(file.name.partition(".")[0] for file in tmp_path.rglob("*.pyc")) == compiled


def test_all_packages_of_this_project_are_compiled() -> None:
    """The folders that are compiled are those that the package is made of."""
    packages = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    assert sorted(install._OWN) == sorted(name.rstrip("*") for name in packages["find"]["include"])


def _wheel(folder: Path, name: str, version: str) -> None:
    """A wheel of one empty module."""
    folder.mkdir()
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
