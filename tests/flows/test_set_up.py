"""What a server needs besides deployments: a limit for the accelerator, and whom to tell of failures."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import Flow, flow, runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events import Event, RelatedResource, Resource
from prefect.events.clients import get_events_client
from prefect.server.concurrency.lease_storage import ConcurrencyLimitLeaseMetadata
from prefect.server.concurrency.lease_storage.filesystem import ConcurrencyLeaseStorage
from prefect.settings.models.server.concurrency import ServerConcurrencySettings
from prefect.states import Running

from flows import set_up
from flows.artifacts import show_picture
from tests.support.waiting import SECONDS, comes_true
from walt.core import environment

LEASES = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"
LOGGER = logging.getLogger("test")
needs_server = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--accelerators", "0"], "--accelerators: '0' is not a whole number from 1 on"),
        (["--accelerators", "two"], "--accelerators: 'two' is not a whole number from 1 on"),
        (
            ["--failure-webhook", "hooks.example/pass"],
            "--failure-webhook: an address begins with http:// or https://; or off",
        ),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert set_up.main(arguments) == 2
    assert capsys.readouterr().err.splitlines() == [f"error: {said}"]


@pytest.mark.slow
@needs_server
def test_the_limit_is_1_at_first_and_then_what_the_page_says(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_up, "LIMIT", f"walt-accelerator-{uuid4()}")
    for given, expected in ((None, 1), ("3", 3), (None, 3), ("3", 3)):
        assert set_up.set_up(given, None) == [f"{set_up.LIMIT}: {expected} at a time"]
        assert client.read_global_concurrency_limit_by_name(set_up.LIMIT).limit == expected


@pytest.mark.slow
@needs_server
def test_a_stage_of_a_deployment_waits_for_its_place(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(set_up, "_SOON_SECONDS", 0.5)
    monkeypatch.setattr(set_up, "LIMIT", f"walt-accelerator-{uuid4()}")
    set_up.set_up("1", None)

    def taken() -> int:
        return client.read_global_concurrency_limit_by_name(set_up.LIMIT).active_slots

    with set_up.accelerator(True, LOGGER):
        assert taken() == 0, "a direct run has nobody to share with"
    monkeypatch.setattr(runtime.deployment, "get_id", lambda: "a deployment")
    with set_up.accelerator(False, LOGGER):
        assert taken() == 0, "the stage uses none"
    order: list[str] = []

    def second() -> None:
        with set_up.accelerator(True, LOGGER):
            order.append("second")

    with set_up.accelerator(True, LOGGER):
        assert taken() == 1
        waiting = threading.Thread(target=second)
        waiting.start()
        assert comes_true(lambda: "waits for a place of walt-accelerator" in caplog.text)
        order.append("first")
    waiting.join(timeout=SECONDS)
    assert order == ["first", "second"]
    assert comes_true(lambda: taken() == 0)


@pytest.mark.slow
@needs_server
def test_a_place_is_free_again_where_nobody_is_on_record_as_holding_it(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = ConcurrencyLeaseStorage(tmp_path)
    monkeypatch.setattr("prefect.server.concurrency.lease_storage.get_concurrency_lease_storage", lambda: record)
    monkeypatch.setattr(set_up, "LIMIT", f"walt-accelerator-{uuid4()}")
    set_up.free_lost_places()  # there is no limit yet
    set_up.set_up("1", None)
    client.update_global_concurrency_limit(set_up.LIMIT, GlobalConcurrencyLimitUpdate(active_slots=1))
    limit = client.read_global_concurrency_limit_by_name(set_up.LIMIT)
    asyncio.run(record.create_lease([], timedelta(minutes=1), ConcurrencyLimitLeaseMetadata(slots=1)))  # of a task run
    for lasting in (timedelta(minutes=1), timedelta(minutes=-1)):
        lease = asyncio.run(record.create_lease([limit.id], lasting, ConcurrencyLimitLeaseMetadata(slots=1)))
        set_up.free_lost_places()
        taken = client.read_global_concurrency_limit_by_name(set_up.LIMIT)
        assert taken.active_slots == 1, "the server takes it back when its time has passed"
        asyncio.run(record.revoke_lease(lease.id))
    set_up.free_lost_places()
    freed = client.read_global_concurrency_limit_by_name(set_up.LIMIT)
    assert (freed.active_slots, freed.limit) == (0, 1)


def test_who_holds_a_place_is_kept_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LEASES, raising=False)
    monkeypatch.setenv(LEASES, environment.defaults(os.environ)[LEASES])
    assert ServerConcurrencySettings().lease_storage == ConcurrencyLeaseStorage.__module__


@pytest.mark.slow
@needs_server
def test_without_an_answer_the_work_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ConnectionError("nobody is there")

    monkeypatch.setattr(runtime.deployment, "get_id", lambda: "a deployment")
    monkeypatch.setattr("prefect.concurrency.sync.concurrency", refused)
    with set_up.accelerator(True, LOGGER):
        pass
    assert "nobody is there" in caplog.text


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address on this machine, and what was posted to it."""
    posted: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token", posted
        server.shutdown()


@pytest.mark.slow
@needs_server
def test_a_failed_flow_run_is_posted_until_it_is_switched_off(
    client: SyncPrefectClient, hook: tuple[str, list[dict[str, Any]]]
) -> None:
    """Only the server can show that it knows the event and fills in the text."""
    address, posted = hook
    assert set_up.set_up(None, address)[1] == "walt-failure: posts to 127.0.0.1"
    set_up.set_up(None, address)
    assert len(client.read_automations_by_name(set_up.AUTOMATION)) == 1

    @flow(name="walt")
    def failing() -> None:
        raise ValueError('no "good" data')

    @flow(name="of others")
    def other() -> None:
        raise ValueError("not ours")

    other(return_state=True)
    failing(return_state=True)
    assert comes_true(lambda: bool(posted))
    assert [one["state"] for one in posted] == ["Failed"]
    assert posted[0]["message"].endswith('ValueError: no "good" data')
    assert posted[0].keys() == {"flow_run", "deployment", "state", "message", "page"}
    assert set_up.set_up(None, "off")[1] == "walt-failure: off"
    assert client.read_automations_by_name(set_up.AUTOMATION) == []


@pytest.mark.slow
@needs_server
def test_a_run_of_which_nothing_is_heard_any_more_is_shown_as_crashed(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the server can show that it knows the events, and counts them by run."""
    monkeypatch.setattr(set_up, "_SILENCE", timedelta(seconds=10))
    for automation in client.read_automations_by_name(set_up.LOST):
        client.delete_automation(automation.id)
    assert set_up.main([]) == 0
    assert set_up.main([]) == 0
    assert "walt-lost: runs of which nothing is heard for 0 minutes are shown as crashed" in capsys.readouterr().out
    [made] = client.read_automations_by_name(set_up.LOST)

    def begun(name: str) -> FlowRun:
        return client.create_flow_run(Flow(name=name, fn=begun), state=Running())

    def alive(run: FlowRun, name: str) -> None:
        flow_of_it = {"prefect.resource.id": f"prefect.flow.{run.flow_id}", "prefect.resource.role": "flow"}
        said = Event(
            event="prefect.flow-run.heartbeat",
            resource=Resource({"prefect.resource.id": f"prefect.flow-run.{run.id}"}),
            related=[RelatedResource({**flow_of_it, "prefect.resource.name": name})],
        )
        asyncio.run(send(said))

    async def send(said: Event) -> None:
        # not by emit_event, which adds the flow run in which this process first emitted something (Prefect 3.8)
        async with get_events_client() as events:
            await events.emit(said)

    def state_of(run: FlowRun) -> tuple[StateType, str | None]:
        state = client.read_flow_run(run.id).state
        assert state is not None
        return state.type, state.message

    lost, living, of_others = begun("walt"), begun("walt"), begun("of others")
    alive(lost, "walt")
    alive(of_others, "of others")

    def is_given_up() -> bool:
        alive(living, "walt")
        return state_of(lost)[0] == StateType.CRASHED

    assert comes_true(is_given_up, pause=1.0)
    assert [state_of(run) for run in (living, of_others)] == [(StateType.RUNNING, None)] * 2
    client.pause_automation(made.id)
    assert set_up.give_up_lost_runs() == "walt-lost: switched off in the page"
    client.delete_automation(made.id)


def test_a_picture_that_is_not_there_or_too_large_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("flows.artifacts.show_text", lambda key, text, *_: shown.append(text))
    show_picture("samples", tmp_path / "grid.png", "videos", LOGGER)
    (tmp_path / "grid.png").write_bytes(b"png")
    show_picture("samples", tmp_path / "grid.png", "videos", LOGGER)
    monkeypatch.setattr("flows.artifacts._PICTURE_BYTES", 2)
    show_picture("samples", tmp_path / "grid.png", "videos", LOGGER)
    assert shown == ["![videos](data:image/png;base64,cG5n)"]
