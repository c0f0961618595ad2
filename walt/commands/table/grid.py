"""``walt table``: runs a table's cells, one after the other, and shows after each what is known so far."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from walt.commands.table.cells import Cell, cells, changes, metrics
from walt.commands.table.directions import Measured
from walt.commands.table.stage_folders import StageFolders, of_tables
from walt.commands.table.table_file import Metric, ScaleName, TableFile, load_scale, load_table
from walt.commands.table.table_page import Results, write_numbers, write_page
from walt.core.errors import ConfigurationError, WaltError
from walt.core.log import info, warning
from walt.core.paths import Paths
from walt.core.storage import lock, read_json
from walt.project.runner import PARAMS_FILE, load_params
from walt.tracking import server
from walt.tracking.table_runs import TableRuns


def run(name: str, scale: ScaleName, seeds: Sequence[int], root: Path) -> Path:
    """Run what has not been run yet; returns the folder ``results/tables/<name>``.

    Raises:
        ConfigurationError: there is no such table, a row does not fit, or the dataset is not there.
        WaltError: a stage failed; what had ended is kept, and the next start goes on there.
    """
    table, common = load_table(name), load_scale(scale)
    if scale not in table.scales:
        raise ConfigurationError(f"table {name} has no scale '{scale}': {table.about}")
    project = load_params(root) if (root / PARAMS_FILE).is_file() else None
    wanted = cells(table, scale, common, seeds, project)
    folders, compared = StageFolders(root), metrics(table, scale, common)
    out = root / "results" / "tables" / (name if scale == "paper" else f"{name}-{scale}")
    results = Results(name, scale, table, common.about, compared, {})
    with lock(folders.place / "lock"):
        tracked = _Tracked(f"table {name}, {scale}", table, wanted, folders.root)
        digests: list[str] = []
        try:
            for number, cell in enumerate(wanted, start=1):
                folders.read_sources(cell)
                said = "there already" if folders.finished(cell, table.last_stage) else "begins"
                info(f"table {name}: {cell.name} ({number} of {len(wanted)}) {said}")
                folder = folders.run(cell, table.last_stage)
                found = measured(folder, table.last_stage, compared)
                results.cells.setdefault(cell.row.name, {})[cell.seed] = found
                digests.append(folder.name)
                tracked.log(folder.name, cell, changes(table, scale, cell.row), found)
                write_numbers(out, results)
        except (WaltError, KeyboardInterrupt):
            if results.cells:
                write_page(out, results)
                warning(f"{out}: what had ended is kept, and the next start goes on there")
            tracked.break_off()
            raise
        write_page(out, results)
        tracked.finish(digests, out)
    info(f"{out / 'table.md'} and {out / 'table.html'}")
    return out


def measured(folder: Path, stage: str, compared: Sequence[Metric]) -> dict[str, Measured]:
    """The compared figures of a stage that has ended in this folder; what it did not measure is left out."""
    paths = Paths(folder)
    if stage == "evaluate":
        figures: Mapping[str, Any] = read_json(paths.evaluation)["figures"]
        known = {name: Measured(figure["value"], figure["conditions"]) for name, figure in figures.items()}
    else:
        result = read_json(paths.work(stage) / "result.json")
        known = {name: Measured(value, {}) for name, value in result.items() if isinstance(value, float)}
    return {metric.name: known[metric.name] for metric in compared if metric.name in known}


class _Tracked:
    """The table in MLflow; where that cannot be reached, a warning, and the next start brings it up to date."""

    def __init__(self, name: str, table: TableFile, wanted: Sequence[Cell], root: Path) -> None:
        params = wanted[0].shared
        self._config = params.tracking.model_copy(update=of_tables(params, root))
        self._runs: TableRuns | None = None
        note = f"{table.title}. {table.about}"
        with self._warns():
            self._runs = TableRuns(server.connect(self._config, root), name, note, _now())

    def log(self, digest: str, cell: Cell, settings: Mapping[str, Any], found: Mapping[str, Measured]) -> None:
        """A cell that has ended."""
        with self._warns():
            if self._runs is not None:
                values = {name: figure.value for name, figure in found.items()}
                params = {"row": cell.row.name, "seed": cell.seed, **settings}
                self._runs.log_cell(digest, cell.name, params, values, _now())

    def finish(self, digests: Collection[str], out: Path) -> None:
        """The whole table."""
        with self._warns():
            if self._runs is not None:
                self._runs.finish(digests, out, _now())

    def break_off(self) -> None:
        """A stage failed or was stopped."""
        with self._warns():
            if self._runs is not None:
                self._runs.break_off(_now())

    @contextmanager
    def _warns(self) -> Iterator[None]:
        try:
            with server.errors():
                yield
        except (server.UnreachableError, server.RefusedError) as error:
            self._runs = None
            said = f"MLflow at {self._config.uri} does not take the table's runs ({error})"
            warning(f"{said}; the next start of the same table writes them")


def _now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)
