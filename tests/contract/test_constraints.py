"""``constraints.txt`` has a version of each dependency for every Python that is supported, and of some the same one."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.11", "3.12", "3.13")
WRITTEN = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
TESTED = ("av", "pillow", "scenedetect", "imagehash", "opencv-python-headless", "torch", "transformers", "safetensors")
"""What decides a result's bytes, or which inputs are read: the tests run on one Python, and so say it of all."""


def pins(python: str) -> dict[str, str]:
    """Package -> its version on that Python, on Linux."""
    environment = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    found = (Requirement(line) for line in WRITTEN if line and not line.startswith("#"))
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in found
        if one.marker is None or one.marker.evaluate(environment)
    }


@pytest.mark.parametrize("python", PYTHONS)
def test_each_dependency_has_a_version_within_its_bounds(python: str) -> None:
    there = pins(python)
    for requirement in map(Requirement, PROJECT["dependencies"]):
        version = there[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), (requirement.name, version)


@pytest.mark.parametrize(
    ("name", "version", "why"),
    [
        ("scenedetect", "0.6.7.1", "click below 8.3: huggingface-hub and celery want 8.3 and more"),
        ("scenedetect", "0.7", "an OpenCV that needs a screen's libraries"),
    ],
)
def test_a_version_that_sends_pip_back_through_all_others_is_not_taken_first(name: str, version: str, why: str) -> None:
    """pip takes the newest version of what is asked for, and gives it up only when those of all others are tried."""
    (requirement,) = (one for one in map(Requirement, PROJECT["dependencies"]) if one.name == name)
    assert not requirement.specifier.contains(version), why


def test_a_bound_holds_for_the_extras_that_others_ask_for() -> None:
    """pip looks for ``sqlalchemy[asyncio]`` beside ``sqlalchemy``: of the one, without a bound, it takes the newest,
    then each older one until it is the other's."""
    bounded = [
        one for one in map(Requirement, PROJECT["dependencies"]) if {"<", "=="} & {s.operator for s in one.specifier}
    ]
    names = {canonicalize_name(one.name): one.extras for one in bounded}
    missing = {}
    for ours in map(Requirement, PROJECT["dependencies"]):
        for text in metadata.requires(ours.name) or ():
            asked = Requirement(text)
            needed = asked.marker is None or asked.marker.evaluate({"extra": ""})
            lacking = asked.extras - names.get(canonicalize_name(asked.name), asked.extras)
            if needed and lacking:
                missing[ours.name, asked.name] = lacking
    assert missing == {}


@pytest.mark.parametrize("name", TESTED)
def test_what_decides_results_is_the_same_on_every_python(name: str) -> None:
    assert len({pins(python)[name] for python in PYTHONS}) == 1


def test_these_are_the_supported_pythons() -> None:
    lowest, above = str(PROJECT["requires-python"]).split(",")
    assert (lowest, above) == (f">={PYTHONS[0]}", f"<3.{int(PYTHONS[-1].split('.')[1]) + 1}")
