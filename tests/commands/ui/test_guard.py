"""Who may call ``walt ui``: its page and programs, no other web site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from tests.support.sample_project import sample_project
from tests.support.ui import HOST, Api, api
from walt.commands.ui.guard import Guard, own_hosts

OWN = {"host": HOST}


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that is never called."""


def refused(headers: dict[str, str], method: str = "POST", path: str = "/api/jobs") -> bool:
    return Guard(nothing, {HOST}).refusal(method, path, Headers(headers)) is not None


@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        OWN | {"origin": f"http://{HOST}"},
        OWN | {"sec-fetch-site": "same-origin"},
        OWN | {"sec-fetch-site": "none"},
        {"host": HOST.upper()},
    ],
)
def test_the_page_and_programs_may_call(headers: dict[str, str]) -> None:
    assert not refused(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "evil.example:7860"},  # a name that was made to lead here
        {"host": "127.0.0.1"},
        {"host": "127.0.0.1:7861"},
        OWN | {"origin": "http://evil.example"},
        OWN | {"origin": "null"},
        OWN | {"origin": "http://127.0.0.1:8000"},  # another server of this machine
        OWN | {"sec-fetch-site": "cross-site"},
        OWN | {"sec-fetch-site": "same-site"},
    ],
)
def test_another_site_may_not(headers: dict[str, str]) -> None:
    assert refused(headers)
    assert refused(headers, "GET", "/api/results")


def test_a_link_on_another_site_may_lead_to_the_page_and_to_nothing_else() -> None:
    link = OWN | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert not refused(link, "GET", "/")
    assert refused(link, "GET", "/api/results/x/video")
    assert refused(link, "POST", "/")
    assert refused(OWN | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, "GET", "/")


def test_the_names_of_a_server() -> None:
    loopback = {"127.0.0.1:7860", "localhost:7860", "[::1]:7860"}
    assert own_hosts("127.0.0.1", 7860, []) == loopback
    assert own_hosts("0.0.0.0", 7860, ["box", "box:1234"]) == loopback | {"box:7860", "box:1234"}
    assert own_hosts("10.0.0.5", 7860, []) == loopback | {"10.0.0.5:7860"}
    assert "localhost" in own_hosts("127.0.0.1", 80, [])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Api:
    root = sample_project(tmp_path_factory.mktemp("plain"))
    return api(root, tmp_path_factory.mktemp("results"), start=False)


def test_the_guard_stands_before_every_call(served: Api) -> None:
    for path in ("/", "/page.js", "/api/jobs", "/api/openapi.json", "/nowhere"):
        answer = served.client.get(path, headers={"Host": "evil.example"})
        assert answer.status_code == 403, path
    order: dict[str, Any] = {"prompt": "a cat"}
    refused = served.client.post("/api/jobs", json=order, headers={"Origin": "http://evil.example"})
    assert (refused.status_code, refused.json()["detail"]) == (403, "requests of other web sites are refused")
    assert served.get("jobs") == []


def test_no_answer_may_be_framed_or_embedded_and_the_page_loads_nothing_from_elsewhere(served: Api) -> None:
    for path in ("/", "/page.js", "/api/jobs", "/api/results/x"):
        headers = served.client.get(path).headers
        assert headers["cross-origin-resource-policy"] == "same-origin"
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == policy["media-src"] == "'self'"


def test_there_are_no_pages_that_would_load_scripts_from_elsewhere(served: Api) -> None:
    assert served.client.get("/docs").status_code == served.client.get("/redoc").status_code == 404


def test_prompts_are_told_as_json_never_as_html(served: Api, tmp_path: Path) -> None:
    prompt = "</script><img src=x onerror=alert(1)>"
    job = served.submit(prompt=prompt)
    answer = served.client.get(f"/api/jobs/{job['id']}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["order"]["prompt"] == prompt
