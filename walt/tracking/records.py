"""How one record of a run, as the spool keeps it, is written to MLflow."""

from __future__ import annotations

from pathlib import Path

from walt.tracking import server, stored_runs
from walt.tracking.curves import log_values
from walt.tracking.release_runs import write_release
from walt.tracking.spool import Record


def write_record(connection: server.Connection, run_id: str, record: Record) -> str | None:
    """Write one record; writing it twice changes nothing. A ``model`` record gives the version's number,
    a ``release`` record the id of the release's run."""
    client = connection.client
    match record["kind"]:
        case "metrics":
            log_values(client, run_id, record["values"], record["timestamp"], record["step"])
        case "artifact":
            log = client.log_artifacts if Path(record["path"]).is_dir() else client.log_artifact
            log(run_id, record["path"], record["folder"] or None)
        case "picture":
            stored_runs.log_picture(
                client, run_id, Path(record["path"]), record["name"], record["step"], record["timestamp"]
            )
        case "release":
            return write_release(connection, run_id, record)
        case "model":
            return server.register(connection, run_id, Path(record["path"]), record["name"])
        case "end":
            client.set_terminated(run_id, record["status"], end_time=record["timestamp"])
        case unknown:
            raise AssertionError(f"unknown kind of record: {unknown}")
    return None
