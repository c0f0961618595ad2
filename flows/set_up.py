"""What a Prefect server needs besides the deployments: ``python -m flows.set_up``; ``make serve`` does it at its start.

The limit ``walt-accelerator`` says how many stages that use an accelerator run at a time, over all projects and workers
of the server. A stage holds its place by a lease: where its process is killed, the place is free again after 75 s.

For a server with workers, the automation ``walt-lost`` shows a flow run as crashed of which nothing is heard any more,
since its machine went. Else it would be shown as running for ever, and a pool that takes one run at a time would take
no other.

With an address, the automation ``walt-failure`` posts what failed to it: a flow run that failed, or whose process died.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

from walt.core import environment
from walt.core.errors import ConfigurationError, WaltError

if TYPE_CHECKING:
    from flows.artifacts import Logger

LIMIT = "walt-accelerator"
AUTOMATION = "walt-failure"
LOST = "walt-lost"
WEBHOOK_VARIABLE = "WALT_FAILURE_WEBHOOK"
ACCELERATORS_VARIABLE = "WALT_ACCELERATORS"
OFF = "off"
"""Instead of an address: nothing is posted any more."""
_SILENCE = timedelta(minutes=10)
"""After which a run is given up. It says every three minutes that it lives (Prefect 3.8)."""
_LEASE_SECONDS = 60
"""So long, and a quarter of a minute more, a stage that was killed holds its place."""
_SOON_SECONDS = 20.0
"""Within which a place comes that the stage before has just given back."""
_IF_NOTHING_WORKS = f"Where nothing works any more: prefect gcl update {LIMIT} --active-slots 0"
_PAYLOAD = """{
  "flow_run": {{ flow_run.name | tojson }}, "deployment": {{ (deployment.name if deployment else none) | tojson }},
  "state": {{ flow_run.state.name | tojson }}, "message": {{ flow_run.state.message | tojson }},
  "page": {{ (flow_run | ui_url) | tojson }}
}"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command and of ``flows.serve``."""
    parser.add_argument(
        "--accelerators",
        default=os.environ.get(ACCELERATORS_VARIABLE),
        metavar="N",
        help=f"how many stages use one at a time; default: as the page says, 1 at first ({ACCELERATORS_VARIABLE})",
    )
    parser.add_argument(
        "--failure-webhook",
        default=os.environ.get(WEBHOOK_VARIABLE),
        metavar="URL",
        help=f"where failed flow runs are posted to; off: nowhere; default: as it is ({WEBHOOK_VARIABLE})",
    )


def check_options(accelerators: str | None, webhook: str | None) -> None:
    """Raises ConfigurationError, one line: an option is none that ``set_up`` takes."""
    if accelerators is not None and (not accelerators.isdecimal() or int(accelerators) < 1):
        raise ConfigurationError(f"--accelerators: '{accelerators}' is not a whole number from 1 on")
    if webhook not in (None, OFF) and urlsplit(webhook).scheme not in ("http", "https"):
        raise ConfigurationError("--failure-webhook: an address begins with http:// or https://; or off")


def set_up(accelerators: str | None, webhook: str | None) -> list[str]:
    """Bring limit and automation of the server to what is asked for; what there is now, for people.

    Args:
        accelerators: None: what the page says stays, and a new limit is 1.
        webhook: ``off`` removes the automation; None: it stays as it is.
    """
    said = [f"{LIMIT}: {_limit(accelerators)} at a time"]
    if webhook == OFF:
        _forget_automation()
        said.append(f"{AUTOMATION}: off")
    elif webhook is not None:
        _forget_automation()
        _make_automation(webhook)
        said.append(f"{AUTOMATION}: posts to {urlsplit(webhook).hostname}")  # the rest of it may be a secret
    return said


def _limit(accelerators: str | None) -> int:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            before = client.read_global_concurrency_limit_by_name(LIMIT).limit
        except ObjectNotFound:
            client.create_global_concurrency_limit(
                GlobalConcurrencyLimitCreate(name=LIMIT, limit=int(accelerators or 1))
            )
            return int(accelerators or 1)
        if accelerators is not None and int(accelerators) != before:
            client.update_global_concurrency_limit(LIMIT, GlobalConcurrencyLimitUpdate(limit=int(accelerators)))
        return before if accelerators is None else int(accelerators)


def free_lost_places() -> None:
    """Free the places of the limit where nobody is on record as holding one, on a server of ours that just started.

    So it is where an earlier server ended that kept who holds them in its memory, as Prefect's (3.8) do by themselves.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
    from prefect.exceptions import ObjectNotFound
    from prefect.server.concurrency.lease_storage import get_concurrency_lease_storage

    async def is_held(limit_id: UUID) -> bool:
        record = get_concurrency_lease_storage()
        numbers = [*await record.read_active_lease_ids(), *await record.read_expired_lease_ids()]
        leases = [await record.read_lease(number) for number in numbers]
        return any(lease is not None and limit_id in lease.resource_ids for lease in leases)

    with get_client(sync_client=True) as client, suppress(ObjectNotFound):
        limit = client.read_global_concurrency_limit_by_name(LIMIT)
        if limit.active_slots and not asyncio.run(is_held(limit.id)):
            client.update_global_concurrency_limit(LIMIT, GlobalConcurrencyLimitUpdate(active_slots=0))


def _forget_automation() -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        for automation in client.read_automations_by_name(AUTOMATION):
            client.delete_automation(automation.id)


def _make_automation(webhook: str) -> None:
    from prefect.automations import Automation, EventTrigger, Posture
    from prefect.blocks.webhook import Webhook
    from prefect.events.actions import CallWebhook
    from prefect.types import SecretDict
    from pydantic import SecretStr

    block = Webhook(method="POST", url=SecretStr(webhook), headers=SecretDict({"Content-Type": "application/json"}))
    block_id = block.save(AUTOMATION, overwrite=True)
    assert isinstance(block_id, UUID)  # a coroutine only where an event loop runs
    Automation(
        name=AUTOMATION,
        description="Posts what failed: made by flows.set_up.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.name": "walt", "prefect.resource.role": "flow"},
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[CallWebhook(block_document_id=block_id, payload=_PAYLOAD)],
    ).create()


def give_up_lost_runs() -> str:
    """Make the automation that shows lost runs as crashed, where there is none; a line about it.

    Not where a person's machine is the server, and its lid is closed for a while.
    """
    from prefect.automations import Automation, EventTrigger, Posture
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState

    minutes = f"{_SILENCE.total_seconds() / 60:.0f} minutes"
    with get_client(sync_client=True) as client:
        there = client.read_automations_by_name(LOST)
    if there and not there[0].enabled:
        return f"{LOST}: switched off in the page"
    if not there:
        alive = "prefect.flow-run.heartbeat"
        ended = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
        Automation(
            name=LOST,
            description="Shows runs as crashed whose machine went: made by flows.set_up.",
            trigger=EventTrigger(
                after={alive},
                expect={alive, *ended},
                match={"prefect.resource.id": "prefect.flow-run.*"},
                match_related={"prefect.resource.name": "walt", "prefect.resource.role": "flow"},
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=_SILENCE,
            ),
            actions=[
                ChangeFlowRunState(
                    name=None,
                    state=StateType.CRASHED,
                    force=False,
                    message=f"nothing was heard of it for {minutes}; run it again: it goes on from there",
                )
            ],
        ).create()
    return f"{LOST}: runs of which nothing is heard for {minutes} are shown as crashed"


@contextmanager
def accelerator(uses_one: bool, logger: Logger) -> Iterator[None]:
    """Hold a place under the limit, where a deployment's run is to use an accelerator; a direct run has nobody to share
    with. Where the server does not answer, the work goes on without a place."""
    import httpx
    from prefect import runtime
    from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
    from prefect.concurrency.sync import concurrency

    said = f"waits for a place of {LIMIT}: all are taken. {_IF_NOTHING_WORKS}"
    with ExitStack() as held:
        if uses_one and runtime.deployment.get_id() is not None:
            waits = threading.Timer(_SOON_SECONDS, logger.info, (said,))
            waits.start()
            try:
                held.enter_context(
                    concurrency(LIMIT, lease_duration=_LEASE_SECONDS, raise_on_lease_renewal_failure=False)
                )
            except (ConcurrencySlotAcquisitionError, httpx.HTTPError, OSError) as error:
                logger.warning("Prefect's API gives no place of %s (%s); the work goes on", LIMIT, error)
            finally:
                waits.cancel()
        yield


def main(arguments: list[str] | None = None) -> int:
    """Set up the server that Prefect's settings name; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m flows.set_up", description="A limit and an automation.")
    add_options(parser)
    options = parser.parse_args(arguments)
    environment.set_defaults()
    try:
        check_options(options.accelerators, options.failure_webhook)
        for line in [*set_up(options.accelerators, options.failure_webhook), give_up_lost_runs()]:
            print(line)
    except WaltError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
