"""Releases that are promoted by shares of videos that match, and who has the alias."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.tracking import CONFIG
from walt.evaluation.resampling import share_figure
from walt.tracking import server
from walt.tracking.models import aliased_release, promote
from walt.tracking.promotion import BetterBeyondChance
from walt.tracking.releases import release_digests

RULE = BetterBeyondChance(
    rule="better_beyond_chance", alias="champion", metric="adherence/both", better="higher", margin=1.5, guards=(),
    floor=None,
)  # fmt: skip


def promoted(root: Path, folders: Mapping[str, Path], matches: int) -> str:
    """Ask for the promotion of a release of which so many of 64 videos match; the answer."""
    figure = share_figure([place < matches for place in range(64)], {"prompts and seeds": "first"})
    evaluation = {"models": release_digests(folders), "figures": {RULE.metric: figure.as_json()}}

    def measure(_: Mapping[str, Path]) -> Any:
        raise AssertionError("the figures that are kept were measured on the same")

    return promote(CONFIG, RULE, root, folders, evaluation, measure)


def champions(root: Path) -> dict[str, str]:
    """Name of each model with the alias -> its version."""
    return aliased_release(server.connect(CONFIG, root), RULE.alias)
