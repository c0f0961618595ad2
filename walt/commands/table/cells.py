"""A table's cells: each row with each seed, as the parameters of a whole run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from walt.commands.table.table_file import Metric, Row, RowScale, Scale, ScaleName, Settings, TableFile
from walt.core.config import parse_section
from walt.evaluation.protocol import load_protocol
from walt.project.params import Params
from walt.project.recipes import recipe_data
from walt.project.registry import STAGE_NAMES, Stage

_NO_PROMOTION: dict[str, Any] = {"metric": "held_out_loss/base", "better": "lower", "guards": [], "floor": None}
"""A table promotes nothing: the rule asks for what every evaluation makes, whichever networks are used."""


@dataclass(frozen=True)
class Cell:
    """One run."""

    row: Row
    seed: int
    own: Params
    """Of the stages that the seed is for."""
    shared: Params
    """Of those before: the same but for the seed, which is the recipe's."""
    seeds_from: str

    def params(self, stage: Stage) -> Params:
        """With which a stage is run."""
        later = STAGE_NAMES.index(stage.name) >= STAGE_NAMES.index(self.seeds_from)
        return self.own if later else self.shared

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.row.name}, seed {self.seed}"


def cells(
    table: TableFile, scale: ScaleName, common: Scale, seeds: Sequence[int], project: Params | None
) -> list[Cell]:
    """All cells, seed by seed, so that each seed gives a whole table.

    Args:
        common: what all tables have in common at that scale.
        project: the project's own parameters: where and how fast things run, and the files of networks that evaluate.

    Raises:
        ConfigurationError: what a row sets is not a parameter, or does not fit; the message names the row.
    """
    rows = [row for row in table.rows if row.at.get(scale, RowScale()).left_out is None]
    return [_cell(table, scale, common, row, seed, project) for seed in seeds for row in rows]


def metrics(table: TableFile, scale: ScaleName, common: Scale) -> tuple[Metric, ...]:
    """What is compared at that scale."""
    return table.scales[scale].metrics or common.metrics


def changes(table: TableFile, scale: ScaleName, row: Row) -> Settings:
    """What a row sets, for people."""
    return merged(row.settings, row.at.get(scale, RowScale()).settings)


def _cell(table: TableFile, scale: ScaleName, common: Scale, row: Row, seed: int, project: Params | None) -> Cell:
    of_table, of_row, source = table.scales[scale], row.at.get(scale, RowScale()), f"row '{row.name}'"
    data: dict[str, Any] = recipe_data(of_row.recipe or of_table.recipe or common.recipe)
    for settings in (common.settings, of_table.settings, row.settings, of_row.settings):
        data = merged(data, settings)
    data["promotion"] = {**data["promotion"], **_NO_PROMOTION}
    if project is not None:
        data |= _of_the_machine(data, project)
    shared = parse_section(data, Params, source)
    return Cell(row, seed, shared.model_copy(update={"seed": seed}), shared, table.seeds_from)


def _of_the_machine(data: Mapping[str, Any], project: Params) -> dict[str, Any]:
    """What the project says of this machine. With the files of all networks that a protocol asks for they are used."""
    given = project.model_dump(mode="json", include={"compute", "tracking", "evaluate"})
    evaluate = {**data["evaluate"], **{key: given["evaluate"][key] for key in ("networks", "statistics")}}
    wanted = {measure.network for measure in load_protocol(evaluate["protocol"]).measures}
    if wanted <= evaluate["networks"].keys():
        evaluate["features"] = None
    return {"compute": given["compute"], "tracking": given["tracking"], "evaluate": evaluate}


def merged(below: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Nested settings over others. Where a section is null below, all of its keys must be given."""
    result = dict(below)
    for key, value in settings.items():
        under = result.get(key)
        result[key] = merged(under, value) if isinstance(value, dict) and isinstance(under, dict) else value
    return result
