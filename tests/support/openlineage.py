"""Collectors of OpenLineage's events, and whether an event is one by the classes of OpenLineage's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import attr
import pytest

from tests.support.loopback import serve

Event = dict[str, Any]
REASON = "openlineage-python is not installed: pip install '/path/to/walt[openlineage]'"


def ask_for_file(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Have the client append events to a file, one a line, as its users do."""
    file, config = folder / "events.jsonl", folder / "collector.yml"
    config.write_text(f"transport:\n  type: file\n  log_file_path: {file}\n  append: true\n")
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(config))
    return file


def read_events(file: Path) -> list[Event]:
    """Those of a file, each checked."""
    events = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for event in events:
        check_event(event)
    return events


@contextmanager
def collector(monkeypatch: pytest.MonkeyPatch, status: int = 201) -> Iterator[list[Event]]:
    """An HTTP collector of this machine; what it was sent."""
    received: list[Event] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/api/v1/lineage"
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Nothing."""

    server = serve(Handler)
    monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_address[1]}")
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()


def check_event(event: Event) -> None:
    """Each part of an event has the fields that the client's class for it requires, and no other."""
    from openlineage.client import event_v2

    _check_fields(event_v2.RunEvent, event)
    _check_fields(event_v2.Run, event["run"])
    _check_fields(event_v2.Job, event["job"])
    facets = [*event["run"]["facets"].values(), *event["job"]["facets"].values()]
    for kind, datasets in ((event_v2.InputDataset, event["inputs"]), (event_v2.OutputDataset, event["outputs"])):
        for dataset in datasets:
            _check_fields(kind, dataset)
            assert dataset["namespace"]
            assert dataset["name"]
            facets += [*dataset["facets"].values(), *dataset.get("inputFacets", dataset.get("outputFacets")).values()]
    for facet in facets:
        _check_fields(_classes()[facet["_schemaURL"]], facet)


def _check_fields(kind: type[Any], value: Event) -> None:
    fields = {field.name: field for field in attr.fields(kind)}
    assert set(value) <= set(fields), f"{kind.__name__} has no {set(value) - set(fields)}"
    required = {name for name, field in fields.items() if field.default is attr.NOTHING}
    assert required <= {name for name, found in value.items() if found is not None}, kind.__name__


@cache
def _classes() -> dict[str, type[Any]]:
    """Address of a facet's schema -> the client's class for it."""
    generated = import_module("openlineage.client.generated")
    modules = [import_module(f"{generated.__name__}.{found.name}") for found in iter_modules(generated.__path__)]
    kinds = [kind for module in modules for kind in vars(module).values() if hasattr(kind, "_get_schema")]
    return {kind._get_schema(): kind for kind in kinds}
