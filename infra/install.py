"""Install packages with uv as pip would: from the indexes, with the certificates and the limits of pip's settings.

``make install`` runs it with the environment's own Python: ``python infra/install.py -c constraints.txt -e '.[dev]'``.
uv installs the project's packages several times as fast as pip, but reads none of pip's settings, so that a company's
mirror in ``pip.conf`` would not be asked. Arguments are handed on; pip's names for indexes are uv's too. Where uv
cannot be had, pip does the work, and a line says so.

Sources: pip's "Configuration" (docs: pip configuration files, ``pip config list``, environment over ``install`` over
``global``); uv's "Compatibility with pip" (one strategy for all indexes, where pip takes the best version of any).
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterable

# of pip's settings: what uv calls it, and whether it is a list, separated by white space
_FLAGS = {
    "index-url": ("--index-url", False),
    "extra-index-url": ("--extra-index-url", True),
    "find-links": ("--find-links", True),
    "constraint": ("--constraints", True),
    "trusted-host": ("--allow-insecure-host", True),
    "no-binary": ("--no-binary", True),
    "only-binary": ("--only-binary", True),
}
_SWITCHES = {"no-index": "--no-index", "pre": "--prerelease=allow", "no-cache-dir": "--no-cache"}
_TRUE = ("1", "true", "yes", "on")
_ENVIRONMENT = {
    "cert": ("SSL_CERT_FILE",),
    "proxy": ("HTTP_PROXY", "HTTPS_PROXY"),
    "timeout": ("UV_HTTP_TIMEOUT",),
    "default-timeout": ("UV_HTTP_TIMEOUT",),
}
_PRECEDENCE = ("global", "install", ":env:")
_OWN = ("walt", "flows")
"""Folders of this project with code that runs."""


def pip_settings(lines: Iterable[str]) -> dict[str, str]:
    """Settings that hold for ``pip install``, from the lines of ``pip config list``.

    The environment's win over those of the section ``install``, and these over ``global``.
    """
    found: dict[str, dict[str, str]] = {section: {} for section in _PRECEDENCE}
    for line in lines:
        name, equals, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if equals and section in found:
            found[section][key] = str(ast.literal_eval(value))
    return {key: value for section in _PRECEDENCE for key, value in found[section].items()}


def uv_arguments(settings: dict[str, str]) -> list[str]:
    """What ``uv pip install`` is told of pip's settings."""
    arguments = []
    for key, (flag, several) in _FLAGS.items():
        if value := settings.get(key):
            for one in value.split() if several else [value]:
                arguments += [flag, one]
    return arguments + [switch for key, switch in _SWITCHES.items() if settings.get(key, "").lower() in _TRUE]


def uv_environment(settings: dict[str, str]) -> dict[str, str]:
    """Environment variables by which uv is told of pip's settings; those that are set already stay."""
    wanted = {name: settings[key] for key, names in _ENVIRONMENT.items() if key in settings for name in names}
    return {**wanted, **os.environ}


def main(arguments: list[str]) -> int:
    """Install; returns the exit status of the installer."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "install", "--quiet", "--disable-pip-version-check", "uv"], check=False).returncode:
        print("uv could not be installed; pip installs the rest, which takes several times as long", file=sys.stderr)
        return subprocess.run([*pip, "install", *arguments], check=False).returncode
    listed = subprocess.run([*pip, "config", "list"], check=True, capture_output=True, text=True).stdout
    settings = pip_settings(listed.splitlines())
    # all indexes are asked and the best version is taken, as pip does: a mirror's PyTorch beside PyPI's
    command = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    command += ["--index-strategy", "unsafe-best-match", *([] if sys.stderr.isatty() else ["--quiet"])]
    if sys.dont_write_bytecode:  # else each process compiles what it imports: a stage starts in 18 s instead of 10
        command.append("--compile-bytecode")
    command += [*uv_arguments(settings), *arguments]
    status = subprocess.run(command, check=False, env=uv_environment(settings)).returncode
    if sys.dont_write_bytecode and not status and "-e" in arguments:  # a tenth of what a stage takes to start
        subprocess.run([sys.executable, "-m", "compileall", "-q", *_OWN], check=False)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
