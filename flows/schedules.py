"""Schedules: the page decides, the table in ``flows.deployments`` only says what a new deployment begins with.

Prefect 3.8 replaces all schedules of a deployment when it is served again, and makes it active. So what the page says
is read before, and given back. Runs that were due while no server was there stay, and are started one after the other:
the first of them does the work of all, since the others find that they were overtaken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterEndTime,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound

from flows.deployments import RETRAIN, DeploymentSpec

KEPT_TAG = "walt"
"""On each deployment whose schedules are kept: earlier versions paused all at their end, which nobody had decided."""
OFF = "off"
"""Instead of a cron: no schedule."""


@dataclass(frozen=True)
class Registered:
    """What a deployment is registered with."""

    paused: bool
    schedules: tuple[DeploymentScheduleCreate, ...]
    said: str
    """Its schedules and who decides about them, for people; empty where it has none."""


def registered(spec: DeploymentSpec, retrain_cron: str | None) -> Registered:
    """What a deployment is to be registered with: what the page has, or for a new one what the table says.

    Args:
        retrain_cron: of the deployment ``retrain``, instead of all its schedules: a cron, or ``off``.
    """
    given = retrain_cron if spec.name == RETRAIN else None
    with get_client(sync_client=True) as client:
        try:
            existing = client.read_deployment_by_name(f"walt/{spec.name}")
        except ObjectNotFound:
            existing = None
    if given is not None or existing is None or KEPT_TAG not in existing.tags:
        cron = None if given == OFF else given or spec.cron
        schedules = (
            () if cron is None else (DeploymentScheduleCreate(schedule=CronSchedule(cron=cron, timezone="UTC")),)
        )
        said = "" if cron is None else f"cron: {cron}" if given is None else f"cron: {cron}, as given at the start"
        return Registered(False, schedules, "no schedule" if given == OFF else said)
    kept = tuple(
        DeploymentScheduleCreate(
            schedule=one.schedule,
            active=one.active,
            max_scheduled_runs=one.max_scheduled_runs,
            parameters=one.parameters,
            slug=one.slug,
        )
        for one in existing.schedules
    )
    said = ", ".join(_named(one) for one in kept)
    said = f"{said}{', paused' if existing.paused else ''}; as the page has it" if kept else ""
    return Registered(existing.paused, kept, said)


def was_overtaken(run_id: UUID) -> bool:
    """Whether a run that a schedule made was due while another of its deployment was under way, which did its work.

    One that failed, crashed or was cancelled did not: who was due then does the work.
    """
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
        if run.deployment_id is None or not run.auto_scheduled or run.expected_start_time is None:
            return False
        after = FlowRunFilter(end_time=FlowRunFilterEndTime(after_=run.expected_start_time))
        return any(
            other.id != run.id and other.start_time and other.state_type == StateType.COMPLETED
            for other in _runs(client, run.deployment_id, after)
        )


def _runs(client: SyncPrefectClient, deployment_id: UUID, which: FlowRunFilter) -> Sequence[FlowRun]:
    deployment = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    return client.read_flow_runs(flow_run_filter=which, deployment_filter=deployment, limit=50)


def _named(schedule: DeploymentScheduleCreate) -> str:
    kind = schedule.schedule
    cron = getattr(kind, "cron", None)
    named = f"cron: {cron}" if cron else type(kind).__name__
    return named if schedule.active in (True, None) else f"{named} (off)"
