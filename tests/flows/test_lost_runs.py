"""A run whose process ended with its server is not shown as running for ever."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Completed, Pending, Running

from flows import schedules
from flows.deployments import DEPLOYMENTS, RETRAIN
from flows.lost_runs import end_lost_runs
from flows.serve import deployment_of
from walt.core import storage
from walt.core.paths import Paths

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def deployment_id() -> UUID:
    """Of a deployment of the flow ``walt``, as ``make serve`` registers it."""
    spec = next(spec for spec in DEPLOYMENTS if spec.name != RETRAIN)
    found = deployment_of(spec, schedules.registered(spec, None))
    found.name = f"lost-{uuid4()}"
    deployment_id = found.apply()
    assert isinstance(deployment_id, UUID)
    return deployment_id


def run_of(deployment_id: UUID, state: State) -> UUID:
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment_id)
        client.set_flow_run_state(run.id, state, force=True)
        return run.id


def state_of(run_id: UUID) -> StateType | None:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id).state_type


@pytest.mark.parametrize("state", [Running(), Pending()], ids=["running", "pending"])
def test_a_run_that_nobody_works_at_is_shown_as_crashed(tmp_path: Path, deployment_id: UUID, state: State) -> None:
    lost, done = run_of(deployment_id, state), run_of(deployment_id, Completed())
    assert end_lost_runs(tmp_path) == 1
    assert (state_of(lost), state_of(done)) == (StateType.CRASHED, StateType.COMPLETED)
    assert end_lost_runs(tmp_path) == 0


def test_a_run_that_lives_on_is_left_alone(tmp_path: Path, deployment_id: UUID) -> None:
    alive = run_of(deployment_id, Running())
    with storage.lock(Paths(tmp_path).flow_lock):
        assert end_lost_runs(tmp_path) == 0
    assert state_of(alive) == StateType.RUNNING
    assert end_lost_runs(tmp_path) == 1
