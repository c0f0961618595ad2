"""The whole tiny pipeline on real services, and what else only they can show. ``make services-test`` runs it.

One set of services for all tests, which follow each other in the order of this file.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.services.everything import Services, all_services, what_is_missing

pytestmark = pytest.mark.timeout(3600)
_LIMIT_SECONDS = 2400.0
_RELEASE = ("walt-base", "walt-sr-2x")


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """All of them, after one run of everything, which was asked for while another run was under way."""
    if missing := what_is_missing():
        pytest.skip(f"not installed: {missing}")
    with all_services() as running:
        yield running


@pytest.fixture(scope="module")
def ran(services: Services) -> Services:
    """After the whole pipeline: two runs asked for at once, of which one waits until the other has ended."""
    runs = [services.prefect.begin("ingest"), services.prefect.begin("all", target="report", promote=True)]
    for run in runs:
        state = services.prefect.wait(run, _LIMIT_SECONDS)
        assert state == "COMPLETED", services.prefect.messages(run)
    return services


def test_two_runs_at_once_follow_each_other(ran: Services) -> None:
    assert (ran.project / "results/report.html").is_file()
