"""For all tests: one thread a process (tiny tensors gain nothing from more), a cache of their own, nothing reported."""

import gc
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # else each compiling process starts others for it
os.environ["WALT_CACHE"] = tempfile.mkdtemp(prefix="walt-cache-")
# `make test` activates no environment: a command that only an activated one finds is not found in any shell
os.environ["PATH"] = os.pathsep.join(
    folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != Path(sys.executable).parent
)

from tests.support.bf16 import bf16_on_any_processor  # noqa: F401 a fixture
from tests.support.memory_folder import MemoryFolder, on_disk  # noqa: F401
from tests.support.places import place, suite_bucket  # noqa: F401 fixtures
from tests.support.prefect_database import prefect_database  # noqa: F401
from tests.support.s3 import _own_proxy, bucket, s3_server  # noqa: F401
from tests.support.scheduling import TOGETHER, TogetherScheduling
from tests.support.tracking import empty_database, mlflow_is_asked_once  # noqa: F401 fixtures
from tests.support.warm import dvc_is_warm, stages, warm, warm_dvc, warm_walt  # noqa: F401
from tests.support.web import web  # noqa: F401
from walt.core import environment

environment.set_defaults()
# under nohup it is ignored, and all processes that the tests start would inherit that
signal.signal(signal.SIGHUP, signal.SIG_DFL)


_ALL_SLOW = re.compile(r"^pytestmark = [^\n]*\bpytest\.mark\.slow\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without slow tests, modules of nothing else are not imported: some load Prefect, or what only they need."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    return True if _ALL_SLOW.search(collection_path.read_text(encoding="utf-8")) else None


_folder = pytest.StashKey[MemoryFolder]()
_failed = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)  # before pytest decides where temporary folders are
def pytest_configure(config: pytest.Config) -> None:
    """What tests write is in memory, where that can be and no folder was given; with workers the first process asks."""
    if config.option.basetemp is None:
        config.stash[_folder] = folder = MemoryFolder()
        if folder.path is not None:
            config.option.basetemp = str(folder.path / "t")


def pytest_collection() -> None:
    """A third of the time would go into searching all that libraries make when they load."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules of which a test needs a time limit of its own come first, those of whole pipelines before all and then
    rooms that are not spread, so that processes end together."""
    long = {item.path for item in items if item.get_closest_marker("timeout")}
    items.sort(
        key=lambda item: (
            item.path.parent.name != "end_to_end", not item.nodeid.startswith(TOGETHER), item.path not in long
        )
    )  # fmt: skip


@pytest.hookimpl(optionalhook=True)  # of xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TogetherScheduling | None:
    """As ``make test`` asks for."""
    return TogetherScheduling(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_collection_finish() -> None:
    """What the libraries made is there to stay: searches for garbage, also the last, need not go through it."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """After a failure, what tests wrote stays until the next run."""
    session.config.stash[_failed] = exitstatus != pytest.ExitCode.OK


def pytest_unconfigure(config: pytest.Config) -> None:
    """The same of what tests made."""
    gc.freeze()
    if (folder := config.stash.get(_folder, None)) is not None:
        folder.close(keep=config.stash.get(_failed, False))
    shutil.rmtree(os.environ["WALT_CACHE"])


@pytest.fixture(autouse=True)
def scheduling_stays() -> Iterator[None]:
    """A test that leaves its process with a right to the processor before others makes these wait, at random."""
    tells = hasattr(os, "sched_getscheduler")
    before = os.sched_getscheduler(0) if tells else None
    yield
    assert not tells or os.sched_getscheduler(0) == before, "another scheduling (tests.support.media.scheduling_kept)"
