"""What the page says about a schedule outlives a restart; a missed run is caught up once, an overtaken one is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Cancelled, Completed, Crashed, Failed, Running, State

from flows import schedules
from flows.deployments import DEPLOYMENTS, RETRAIN, DeploymentSpec
from flows.schedules import Registered, registered, was_overtaken
from walt.project.registry import STAGE_NAMES

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]
NIGHTLY = next(spec for spec in DEPLOYMENTS if spec.name == RETRAIN)


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch) -> DeploymentSpec:
    """The nightly deployment, under a name that no other test has."""
    name = f"retrain-{uuid4()}"
    monkeypatch.setattr(schedules, "RETRAIN", name)
    return replace(NIGHTLY, name=name)


def serve(spec: DeploymentSpec, cron: str | None = None) -> tuple[UUID, Registered]:
    """Register it as ``make serve`` does at its start."""
    from flows.serve import deployment_of

    found = registered(spec, cron)
    deployment_id = deployment_of(spec, found).apply()
    assert isinstance(deployment_id, UUID)
    return deployment_id, found


def crons(client: SyncPrefectClient, deployment_id: UUID) -> dict[str, bool]:
    found = client.read_deployment(deployment_id).schedules
    return {one.schedule.cron: bool(one.active) for one in found if isinstance(one.schedule, CronSchedule)}


def test_a_new_deployment_begins_as_the_table_says(client: SyncPrefectClient, spec: DeploymentSpec) -> None:
    deployment_id, found = serve(spec)
    assert crons(client, deployment_id) == {"0 3 * * *": True}
    assert found.said == "cron: 0 3 * * *"


def test_what_the_page_says_outlives_a_restart(client: SyncPrefectClient, spec: DeploymentSpec) -> None:
    deployment_id, _ = serve(spec)
    (first,) = client.read_deployment(deployment_id).schedules
    client.update_deployment_schedule(deployment_id, first.id, schedule=CronSchedule(cron="5 5 * * *", timezone="UTC"))
    client.create_deployment_schedules(deployment_id, [(CronSchedule(cron="7 7 * * *", timezone="UTC"), False)])
    client.pause_deployment(deployment_id)
    again, found = serve(spec)
    assert again == deployment_id
    assert client.read_deployment(deployment_id).paused
    assert crons(client, deployment_id) == {"5 5 * * *": True, "7 7 * * *": False}
    assert found.said in (
        "cron: 5 5 * * *, cron: 7 7 * * * (off), paused; as the page has it",
        "cron: 7 7 * * * (off), cron: 5 5 * * *, paused; as the page has it",
    )

    client.resume_deployment(deployment_id)
    for schedule in client.read_deployment(deployment_id).schedules:
        client.delete_deployment_schedule(deployment_id, schedule.id)
    serve(spec)
    assert crons(client, deployment_id) == {}, "one that was deleted does not come back"


def test_a_schedule_keeps_its_name_and_limit(client: SyncPrefectClient, spec: DeploymentSpec) -> None:
    deployment_id, _ = serve(spec, "off")
    body = [{"schedule": {"cron": "7 7 * * *"}, "active": True, "slug": "weekly", "max_scheduled_runs": 2}]
    client.request("POST", "/deployments/{id}/schedules", path_params={"id": deployment_id}, json=body)
    serve(spec)
    (kept,) = client.read_deployment(deployment_id).schedules
    assert (kept.slug, kept.max_scheduled_runs) == ("weekly", 2)


def test_what_the_start_says_is_before_the_page(client: SyncPrefectClient, spec: DeploymentSpec) -> None:
    deployment_id, _ = serve(spec)
    client.pause_deployment(deployment_id)
    _, found = serve(spec, "*/30 * * * *")
    assert crons(client, deployment_id) == {"*/30 * * * *": True}
    assert found.said == "cron: */30 * * * *, as given at the start"
    assert not client.read_deployment(deployment_id).paused
    _, found = serve(spec, "off")
    assert (crons(client, deployment_id), found.said) == ({}, "no schedule")


def test_another_time_for_retraining_moves_no_other_deployment(spec: DeploymentSpec) -> None:
    assert serve(replace(spec, name=f"nightly-{uuid4()}"), "* * * * *")[1].said == "cron: 0 3 * * *"


def test_one_that_an_earlier_version_paused_at_its_end_is_active_again(
    client: SyncPrefectClient, spec: DeploymentSpec
) -> None:
    deployment_id, found = serve(spec)
    from flows.serve import deployment_of

    older = deployment_of(spec, replace(found, paused=True))
    older.tags = []
    older.apply()
    serve(spec)
    assert not client.read_deployment(deployment_id).paused


def make_due(client: SyncPrefectClient, deployment_id: UUID, count: int) -> list[FlowRun]:
    """Have the schedule make runs that were due on the last so many days, the oldest first."""
    start = datetime.now(UTC) - timedelta(days=count)
    body = {"start_time": start.isoformat(), "end_time": datetime.now(UTC).isoformat(), "min_runs": count}
    client.request("POST", "/deployments/{id}/schedule", path_params={"id": deployment_id}, json=body)
    runs = [run for run in client.read_flow_runs(limit=100) if run.deployment_id == deployment_id]
    past = [run for run in runs if run.expected_start_time and run.expected_start_time < datetime.now(UTC)]
    assert len(past) == count
    return sorted(past, key=lambda run: str(run.expected_start_time))


def test_of_runs_that_were_missed_one_does_the_work(client: SyncPrefectClient, spec: DeploymentSpec) -> None:
    deployment_id, _ = serve(spec)
    first, *others = make_due(client, deployment_id, 3)
    serve(spec)
    assert client.read_flow_run(first.id).state_name in ("Scheduled", "Late"), "it waits to be run"
    work(client, first)
    assert [was_overtaken(run.id) for run in others] == [True, True]


def work(client: SyncPrefectClient, run: FlowRun, end: State | None = None) -> None:
    client.set_flow_run_state(run.id, Running(), force=True)
    client.set_flow_run_state(run.id, end or Completed(), force=True)


def test_a_run_that_was_due_while_another_worked_is_overtaken(client: SyncPrefectClient, spec: DeploymentSpec) -> None:
    deployment_id, _ = serve(spec)
    first, second = make_due(client, deployment_id, 2)
    assert not was_overtaken(first.id)
    assert not was_overtaken(second.id), "no other has begun"
    work(client, first)
    assert was_overtaken(second.id)
    by_hand = client.create_flow_run_from_deployment(deployment_id)
    assert not was_overtaken(by_hand.id), "who asks for a run gets one"


@pytest.mark.parametrize("end", [Failed(), Crashed(), Cancelled()], ids=["failed", "crashed", "cancelled"])
def test_a_run_that_did_not_do_its_work_overtakes_none(
    client: SyncPrefectClient, spec: DeploymentSpec, end: State
) -> None:
    deployment_id, _ = serve(spec)
    first, second = make_due(client, deployment_id, 2)
    work(client, first, end)
    assert not was_overtaken(second.id)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"target": "train-bsae"}, "train-bsae"),
        ({"tagret": "ingest"}, "tagret"),
        ({"promote": "perhaps"}, "perhaps"),
        ({"hours": 0}, "0"),
    ],
)
def test_parameters_that_the_flow_does_not_have_are_refused_by_the_server(
    client: SyncPrefectClient, spec: DeploymentSpec, parameters: dict[str, str], said: str
) -> None:
    deployment_id, _ = serve(spec)
    with pytest.raises(PrefectHTTPStatusError, match=said):
        client.create_flow_run_from_deployment(deployment_id, parameters=parameters)


def test_parameters_are_described(client: SyncPrefectClient, spec: DeploymentSpec) -> None:
    deployment_id, _ = serve(spec)
    schema = client.read_deployment(deployment_id).parameter_openapi_schema
    assert schema is not None
    assert schema["properties"]["target"]["enum"] == list(STAGE_NAMES)
    assert all(about["description"] for about in schema["properties"].values())
