"""The curves of one run in MLflow, with one point for each step.

A training that goes on after a kill takes the steps since its last checkpoint again, and logs them again. MLflow adds
what it is given: with another timestamp, the same step is a second point, in the run's page and where runs are
compared, and no client can remove one. So it is asked what the run has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from walt.tracking.spool import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient

_METRICS_A_REQUEST = 1000  # MLflow's limit


class Curves:
    """Which points a run has. What is added through another is not known here."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        """Asks for the last step of each curve. Raises as MLflow does."""
        self._client, self._run_id = client, run_id
        self._last = {metric.key: metric.step for metric in client.get_run(run_id).data.to_proto().metrics}
        self._steps: dict[str, set[int]] = {}

    def without_known(self, record: Record) -> Record:
        """A record of metrics without the points that the run has; another kind as it is. Raises as MLflow does."""
        if record["kind"] != "metrics":
            return record
        step = record["step"]
        return {
            **record,
            "values": {name: value for name, value in record["values"].items() if self._lacks(name, step)},
        }

    def _lacks(self, name: str, step: int) -> bool:
        if step > self._last.get(name, step - 1):
            return True
        if name not in self._steps:
            self._steps[name] = {point.step for point in self._client.get_metric_history(self._run_id, name)}
        return step not in self._steps[name]


def log_values(client: MlflowClient, run_id: str, values: dict[str, float], timestamp: int, step: int) -> None:
    """Add one point to each named curve."""
    from mlflow.entities import Metric

    entries = [Metric(name, float(value), timestamp, step) for name, value in values.items()]
    for start in range(0, len(entries), _METRICS_A_REQUEST):
        client.log_batch(run_id, metrics=entries[start : start + _METRICS_A_REQUEST])


def log_new_values(client: MlflowClient, run_id: str, values: dict[str, float], timestamp: int) -> None:
    """Add a point of step 0 to each curve that does not end in this value: what is measured again and comes out the
    same is one point."""
    known = client.get_run(run_id).data.metrics
    # not by ==, by which NaN is never the same
    new = {name: value for name, value in values.items() if repr(known.get(name)) != repr(float(value))}
    log_values(client, run_id, new, timestamp, 0)
