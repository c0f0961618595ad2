"""A table's runs in MLflow: one parent for each table and scale, and below it a run for each cell.

Doing it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from walt.tracking import server, stored_runs
from walt.tracking.curves import log_new_values
from walt.tracking.paging import all_of
from walt.tracking.release_runs import NOTE_TAG, PARENT_TAG

STAGE = "table"
"""The tag ``stage`` of a parent."""
CELL_STAGE = "table-cell"
"""The tag ``stage`` of a cell's run."""
TABLE_TAG = "walt.table"
"""On a parent: the table and its scale."""
CELL_TAG = "walt.table.cell"
"""On a cell's run: the digest of all that its figures depend on, in the parent's name."""


class TableRuns:
    """The parent's run, which is found or made."""

    def __init__(self, connection: server.Connection, name: str, note: str, timestamp: int) -> None:
        self._connection, self._name = connection, name
        tags = {"stage": STAGE, TABLE_TAG: name, "mlflow.source.name": "walt table", "mlflow.source.type": "LOCAL"}
        self.run_id = self._found(TABLE_TAG, name) or self._made(name, tags, timestamp)
        connection.client.set_tag(self.run_id, NOTE_TAG, note)
        connection.client.update_run(self.run_id, status="RUNNING")

    def log_cell(
        self, digest: str, name: str, params: Mapping[str, Any], values: Mapping[str, float], timestamp: int
    ) -> str:
        """A cell that has ended, once; returns its run's id.

        Args:
            digest: of all that the figures depend on.
            params: what the row sets, nested, and the seed.
        """
        identity = f"{self._name}/{digest}"
        client, run_id = self._connection.client, self._found(CELL_TAG, identity)
        if run_id is None:
            tags = {"stage": CELL_STAGE, CELL_TAG: identity, PARENT_TAG: self.run_id}
            run_id = self._made(name, tags, timestamp)
        if client.get_run(run_id).info.status != "FINISHED":  # new, or a kill came in between
            stored_runs.log_missing_params(self._connection, run_id, dict(params))
            log_new_values(client, run_id, dict(values), timestamp)
            client.set_terminated(run_id, "FINISHED", end_time=timestamp)
        client.set_tag(run_id, PARENT_TAG, self.run_id)
        return run_id

    def finish(self, digests: Collection[str], files: Path, timestamp: int) -> None:
        """Keep the table's files with the parent; cells of settings that are no longer the table's are its no more."""
        client = self._connection.client
        query = f"tags.`{PARENT_TAG}` = '{self.run_id}'"
        for run in [*all_of(client.search_runs, [self._connection.experiment_id], query)]:  # before any is changed
            identity = run.data.tags.get(CELL_TAG)
            if identity is not None and identity.rpartition("/")[2] not in digests:
                client.delete_tag(run.info.run_id, PARENT_TAG)
        client.log_artifacts(self.run_id, str(files))
        client.set_terminated(self.run_id, "FINISHED", end_time=timestamp)

    def break_off(self, timestamp: int) -> None:
        """The table is not whole; the next start opens its run again."""
        self._connection.client.set_terminated(self.run_id, "FAILED", end_time=timestamp)

    def _found(self, tag: str, value: str) -> str | None:
        found = self._connection.client.search_runs(
            [self._connection.experiment_id], f"tags.`{tag}` = '{value}'", max_results=1
        )
        return str(found[0].info.run_id) if found else None

    def _made(self, name: str, tags: Mapping[str, str], timestamp: int) -> str:
        run = self._connection.client.create_run(
            self._connection.experiment_id, start_time=timestamp, tags=dict(tags), run_name=name
        )
        return str(run.info.run_id)
