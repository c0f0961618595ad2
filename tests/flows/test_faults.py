"""A flow run whose process is killed, or that loses Prefect's server: what ran is not lost, and nothing is blocked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from prefect.settings import PREFECT_API_URL

from flows.server import api_url, free_port, starting_server, wait_until_healthy
from tests.support.fake_project import ROOT, behave, runs, tools_of, use_own_dvc
from tests.support.waiting import SECONDS
from walt.core import environment
from walt.core.paths import ARTIFACTS
from walt.project.registry import stages_needed_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("prefect_server")]

_DIRECT = """
import sys
from pathlib import Path
from flows import processes
processes.tools_folder = lambda: Path(sys.argv[1])
from flows.walt import end, main
end(main(["--target", sys.argv[2]]))
"""
_TARGET = "encode-video"


@contextmanager
def _own_server(port: int, home: Path) -> Iterator[Callable[[], None]]:
    """One that answers; a function that stops it."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("PREFECT_HOME", str(home))
        for name in ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL"):
            patch.delenv(name, raising=False)
        wait_until_healthy(stack.enter_context(starting_server(port, schedules=False)), api_url(port))
        yield stack.close


def _direct(project: Path, url: str | None = None) -> subprocess.Popen[str]:
    """A direct run with the server at an address; by default it is that of the other tests."""
    variables = {**environment.defaults(os.environ), **os.environ, "PYTHONPATH": str(ROOT)}
    variables |= {"PREFECT_API_URL": url or PREFECT_API_URL.value(), "PREFECT_HOME": str(project.with_name("home"))}
    if url:  # a server that will be stopped: by itself the client waits for minutes
        variables |= {"PREFECT_CLIENT_MAX_RETRIES": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", _DIRECT, str(tools_of(project)), _TARGET], cwd=project, env=variables,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_the_stage_ends_its_work_and_the_next_run_goes_on_from_there(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    port = free_port()
    use_own_dvc(project)
    behave(project, "ingest", "wait")
    with _own_server(port, tmp_path_factory.mktemp("home")) as stop:
        flow = _direct(project, api_url(port))
        try:
            while not (project / "work/ingest/running").is_file():
                assert flow.poll() is None, flow.communicate()[0]
                time.sleep(0.1)
            stop()
            (project / "go").touch()
            said, _ = flow.communicate(timeout=600)
        finally:
            flow.kill()
    assert runs(project, "ingest") == 1
    assert (project / "data/manifest").exists(), "its work was not thrown away"
    assert flow.returncode == 4, said
    assert f"error: Prefect's server at {api_url(port)} does not answer" in said
    said, _ = (again := _direct(project)).communicate(timeout=600)
    assert again.returncode == 0, said
    assert runs(project, "ingest") == 1, "DVC knows that it has ended"
    assert runs(project, _TARGET) == 1


def test_killed_at_each_stage_and_started_again_it_comes_to_the_same_end(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    use_own_dvc(project)
    stages = [stage.name for stage in stages_needed_for(_TARGET)]
    undisturbed = shutil.copytree(project, tmp_path_factory.mktemp("undisturbed"), symlinks=True, dirs_exist_ok=True)
    for name in stages:
        behave(project, name, "sleep")
        flow = _direct(project)
        running = project / "work" / name / "running"
        while not running.is_file():
            assert flow.poll() is None, flow.communicate()[0]
            time.sleep(0.1)
        flow.kill()
        flow.communicate()
        left = [psutil.Process(pid) for pid in map(int, running.read_text().split()) if psutil.pid_exists(pid)]
        assert not psutil.wait_procs(left, timeout=SECONDS)[1], f"{name} goes on"
        behave(project, name, None)
    for root in (project, undisturbed):
        said, _ = (flow := _direct(root)).communicate(timeout=600)
        assert flow.returncode == 0, said
    assert [runs(project, name) for name in stages] == [2] * len(stages)
    for name in (output for stage in stages_needed_for(_TARGET) for output in stage.outputs):
        assert (project / ARTIFACTS[name]).read_text() == (undisturbed / ARTIFACTS[name]).read_text()
