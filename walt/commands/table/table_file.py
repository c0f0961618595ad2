"""The paper's tables as files: ``tables/<name>.yaml``, and what the small runs have in common, ``scales/<scale>.yaml``.

A table's rows say what they set among the parameters and what the paper measured. ``grid.py`` makes runs of them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from walt.core.config import Section, load_section
from walt.core.errors import ConfigurationError
from walt.core.suggestions import did_you_mean
from walt.project.registry import STAGE_NAMES

TABLES = Path(__file__).with_name("tables")
SCALES = Path(__file__).with_name("scales")

ScaleName = Literal["demo", "paper"]
Settings = dict[str, Any]
"""Sections of ``params.yaml`` with the keys that differ, nested as there."""


class Metric(Section):
    """A figure that the last stage leaves."""

    name: str
    """As in ``results/evaluation.json``, or in what the stage returns: ``frechet_distance/random_network``."""
    title: str
    better: Literal["higher", "lower"]


class Scale(Section):
    """What all tables have in common at a scale; the first metric decides."""

    about: str
    recipe: str
    """A file of ``walt/recipes``; a table or a row may name another."""
    settings: Settings
    metrics: tuple[Metric, ...] = Field(min_length=1)
    """What is not measured (a network's file is not at hand) is left out."""


class TableScale(Section):
    """What a table changes of the scale, and what it costs."""

    cost: str
    recipe: str | None = None
    settings: Settings = Field(default={})
    metrics: tuple[Metric, ...] | None = Field(default=None, min_length=1)


class RowScale(Section):
    """What a row sets at one scale, besides what it sets at all."""

    recipe: str | None = None
    settings: Settings = Field(default={})
    left_out: str | None = None
    """Why it is not run at this scale."""


class Row(Section):
    """A line of the table: a run for each seed."""

    name: str
    settings: Settings = Field(default={})
    at: dict[ScaleName, RowScale] = Field(default={})
    paper: dict[str, float] = Field(default={})
    """The paper's values by ``Paper.metrics``."""
    against: str | None = None
    """The row that it is compared with, where it is not the table's; null where the key is given: none."""


class Paper(Section):
    """What the paper measured."""

    metrics: dict[str, Literal["higher", "lower"]] = Field(min_length=1)
    """Name -> which values are the better ones; the first decides."""
    protocol: str


class TableFile(Section):
    """One file."""

    title: str
    about: str
    paper: Paper
    last_stage: str
    """Whose figures are compared; what it needs is run before."""
    seeds_from: str
    """The first stage that a run's seed is for; those before are shared."""
    against: str | None
    """The row that the others are compared with."""
    scales: dict[ScaleName, TableScale]
    rows: tuple[Row, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> TableFile:
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            raise ValueError("two rows have the same name")
        for row in self.rows:
            if self.row_against(row) is not None and self.row_against(row) not in names:
                raise ValueError(f"row '{row.name}' is compared with '{self.row_against(row)}', which is not a row")
            if unknown := sorted(row.paper.keys() - self.paper.metrics.keys()):
                raise ValueError(f"row '{row.name}' has values of {unknown[0]}, which is not in paper.metrics")
        for stage in (self.last_stage, self.seeds_from):
            if stage not in STAGE_NAMES:
                raise ValueError(f"no stage is called '{stage}'{did_you_mean(stage, STAGE_NAMES)}")
        return self

    def row_against(self, row: Row) -> str | None:
        """The name of the row that a row is compared with; None: none."""
        against = row.against if "against" in row.model_fields_set else self.against
        return None if against == row.name else against


def table_names(folder: Path = TABLES) -> list[str]:
    """The tables there are, as the paper counts them."""
    return sorted(file.stem for file in folder.glob("*.yaml"))


@cache
def load_table(name: str, folder: Path = TABLES) -> TableFile:
    """A table. Raises ConfigurationError: there is none of that name, or a key of its file is wrong."""
    names = table_names(folder)
    if name not in names:
        hint = did_you_mean(name, names, f"there are {', '.join(names)}")
        raise ConfigurationError(f"no table is called '{name}'{hint}")
    return load_section(folder / f"{name}.yaml", TableFile)


@cache
def load_scale(name: ScaleName, folder: Path = SCALES) -> Scale:
    """What all tables have in common at a scale. Raises ConfigurationError for a key that is wrong."""
    return load_section(folder / f"{name}.yaml", Scale)
