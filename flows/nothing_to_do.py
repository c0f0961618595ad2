"""Where nothing is stale, a direct run needs no server of Prefect: it would hold one flow run that did nothing.

Without Prefect, which takes seconds to import and to start. Whatever is not plainly fresh is left to the flow.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flows import dvc_lock
from flows.processes import Ended, run_command
from walt.commands.promote import command
from walt.core import storage
from walt.core.config import read_yaml
from walt.core.errors import WaltError
from walt.core.paths import Paths
from walt.project.runner import load_params
from walt.tracking import server

FRESH = "up to date"
"""What the flow says of a stage that it had not to run."""


def outcomes_if_fresh(root: Path, names: Sequence[str], promote: bool) -> dict[str, str] | None:
    """Say what a run of these stages would say, and promote, where none of them is stale; else None, and nothing was
    done but what ``walt prepare`` does, which the flow then finds done.

    Raises:
        ConfigurationError: ``dvc.lock`` is not valid YAML, as after a merge with conflicts.
        LockedError: another flow run, or DVC, works in this project.
    """
    if not _ran_all(root, names):
        return None
    params = load_params(root)
    with storage.lock(Paths(root).flow_lock):
        dvc_lock.check_free(root)
        with ThreadPoolExecutor(2) as pool:
            answers = pool.map(lambda words: _run(words, root), (["walt", "prepare"], status_command(names)))
            if promote:
                server.load(params.tracking)  # as long as those two take
            prepared, status = answers
        # with a second line it has shown DVC a change, or has made files: what DVC said may have come before that
        if prepared.status or len(prepared.lines) != 1 or status.status or stale_stages(status, names) != []:
            return None
        if promote:
            try:
                command.promote(params, root)
            except WaltError:
                return None  # the flow tries again, and shows it
    return dict.fromkeys(names, FRESH)


def status_command(names: Sequence[str]) -> list[str]:
    """DVC's command that compares stages with ``dvc.lock``, by content."""
    return ["dvc", "status", "--json", *names]


def stale_stages(ended: Ended, names: Sequence[str]) -> list[str] | None:
    """Those of the stages that differ, as ``status_command`` said; None where it gave no answer."""
    answers = [line for line in ended.lines if line.startswith("{")]
    if not answers:
        return None
    changed = json.loads(answers[-1])
    return [name for name in names if name in changed]


def _ran_all(root: Path, names: Sequence[str]) -> bool:
    """Whether ``dvc.lock`` knows all these stages: else there is no need to ask DVC."""
    lock = root / "dvc.lock"
    return lock.is_file() and set(names) <= set(read_yaml(lock).get("stages") or {})


def _run(words: Sequence[str], root: Path) -> Ended:
    return run_command(words, root, {}, on_line=lambda _: None, on_tick=lambda: None)
