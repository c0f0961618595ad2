"""The lines of ``walt status``. Each line that cannot be had says why; the others are there all the same."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from walt.commands.status.growth import grown_since
from walt.core.errors import WaltError
from walt.core.paths import Paths
from walt.core.secrets import without_secrets
from walt.pages.formats import num_bytes
from walt.project.params import Params
from walt.project.registry import STAGE_NAMES
from walt.project.runner import load_params
from walt.tracking import own_database, server
from walt.tracking.models import aliased_release
from walt.tracking.releases import METRIC_TAG

_KINDS = {
    "clips and tables": (
        "data/clips",
        "data/manifest",
        "data/captions",
        "data/rejects.parquet",
        "data/clip_rejects.parquet",
    ),
    "latents and text": ("data/latents", "data/text"),
    "models": ("models",),
    "results": ("results",),
    "cut clips": ("work/ingest/sources",),
    "checkpoints and other work": ("work",),
    "DVC's cache": (".dvc/cache",),
    "MLflow's files": ("mlartifacts", "mlflow.db"),
    "Prefect's database": (".prefect",),
}
"""Kind -> the paths of a project, relative to its root. What a kind above has does not count again below."""
_FREED_BY = {
    "cut clips": "walt gc --caches",
    "checkpoints and other work": "walt gc --checkpoints",
    "DVC's cache": "walt gc, as far as nothing refers to it",
    "MLflow's files": "walt gc, after deleting runs in its page",
    "Prefect's database": "prefect server database reset, which forgets all flow runs",
}
"""Kind -> what frees some of it; the other kinds are what the pipeline makes."""
_API_SECONDS = 5.0


def screen(root: Path, api: str) -> list[str]:
    """All lines.

    Args:
        api: address of the Prefect server that is asked for the next run of ``walt/retrain``.

    Raises:
        ConfigurationError: there is no ``params.yaml`` here, or it is wrong.
    """
    params = load_params(root)
    lines = [f"stale:      {_stale(root)}", f"running:    {_running(root)}"]
    lines += [f"promoted:   {_promoted(params, root)}", f"next run:   {_next_run(api)}"]
    return [*lines, *_disk(root)]


def _disk(root: Path) -> Iterator[str]:
    """A line for each kind that takes disk: how much, how much more than at the day that the first line names, and what
    frees it."""
    sizes = disk_by_kind(root)
    before, said = grown_since(root, sizes, datetime.now(UTC).date())
    yield "disk:" if before is None else f"disk, and what was added since {before.day}:"
    if said:
        yield f"  growth cannot be said ({said})"
    for kind, size in sizes.items():
        added = 0 if before is None else size - before.sizes.get(kind, 0)
        if size or added:
            yield f"  {num_bytes(size):>10}  {kind}{_difference(added)}{_freed_by(kind)}"
    added = 0 if before is None else sum(sizes.values()) - sum(before.sizes.values())
    yield f"  {num_bytes(sum(sizes.values())):>10}  in all{_difference(added)} (files with several names count once)"


def _difference(added: int) -> str:
    return f", {'+' if added > 0 else '-'}{num_bytes(abs(added))}" if added else ""


def _freed_by(kind: str) -> str:
    return f" (freed by: {_FREED_BY[kind]})" if kind in _FREED_BY else ""


def disk_by_kind(root: Path) -> dict[str, int]:
    """Bytes on disk of each kind. A file that several kinds have is of the first: DVC's cache and what it put in place
    are the same files where the disk allows it."""
    seen: set[tuple[int, int]] = set()
    sizes = {}
    for kind, places in _KINDS.items():
        total = 0
        for path in (file for place in places for file in _files(root / place)):
            try:
                about = path.lstat()
            except FileNotFoundError:  # a run removed it just now
                continue
            if (about.st_dev, about.st_ino) not in seen:
                seen.add((about.st_dev, about.st_ino))
                total += about.st_blocks * 512
        sizes[kind] = total
    return sizes


def _files(place: Path) -> Iterator[Path]:
    if place.is_dir():
        for folder, _, names in os.walk(place):
            yield from (Path(folder) / name for name in names)
    elif place.is_file():
        yield place


def _stale(root: Path) -> str:
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    answers = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    if ended.returncode or not answers:
        said = (ended.stderr.strip() or "no answer").splitlines()[-1]
        return f"DVC cannot say ({said})"
    changed = json.loads(answers[-1])
    return ", ".join(name for name in STAGE_NAMES if name in changed) or "nothing"


def _running(root: Path) -> str:
    """Who holds the flow's lock, or a stage's. The locks are only looked at: taking one would stop who begins now."""
    locks = {"flow": Paths(root).flow_lock, **{name: Paths(root).work(name) / "lock" for name in STAGE_NAMES}}
    holders = {name: _holder(file) for name, file in locks.items()}
    return ", ".join(f"{name} (process {pid})" for name, pid in holders.items() if pid is not None) or "nothing"


def _holder(file: Path) -> int | None:
    try:
        pid = int(file.read_text(encoding="utf-8").split()[0])
        held = any(Path(open_file.path) == file.resolve() for open_file in psutil.Process(pid).open_files())
    except (OSError, ValueError, IndexError, psutil.Error):  # no lock, an empty one, or its process has ended
        return None
    return pid if held else None


def _promoted(params: Params, root: Path) -> str:
    alias = params.promotion.alias
    if not own_database.has_begun(server.resolve_uri(params.tracking.uri, root)):
        return f"no release is {alias}"
    try:
        with server.errors():
            connection = server.connect(params.tracking, root)
            models = aliased_release(connection, alias)
            if "base" not in models:
                return f"no release is {alias}"
            name = f"{connection.model_prefix}-base"
            tags = connection.client.get_model_version(name, models["base"]).tags
    except WaltError as error:
        return f"MLflow cannot say ({error})"
    figure = tags.get(f"{METRIC_TAG}{params.promotion.metric}", "not measured")
    versions = ", ".join(f"{model} {version}" for model, version in models.items())
    return f"{versions} ({params.promotion.metric} {figure})"


def _next_run(api: str) -> str:
    try:
        deployment = _ask(f"{api}/deployments/name/walt/retrain")
        if deployment.get("paused"):
            return "walt/retrain is paused"
        schedules = deployment.get("schedules", [])
        if schedules and not any(one["active"] for one in schedules):
            return "walt/retrain is paused: each of its schedules is switched off"
        runs = _ask(f"{api}/flow_runs/filter", {
            "deployments": {"id": {"any_": [deployment["id"]]}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 1,
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        })  # fmt: skip
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return "Prefect's server refuses the login: set PREFECT_API_AUTH_STRING"
        return "walt/retrain is not served" if error.code == 404 else f"Prefect's server says {error.code}"
    except (OSError, ValueError, KeyError) as error:
        return f"none: no Prefect server answers at {without_secrets(api)} ({type(error).__name__})"
    if runs:
        return f"walt/retrain at {runs[0]['expected_start_time']}"
    return (
        "walt/retrain has a schedule, and no run of it is planned yet" if schedules else "walt/retrain has no schedule"
    )


def _ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """The server's answer, with the login that Prefect's own client sends (``PREFECT_API_AUTH_STRING``)."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if login := os.environ.get("PREFECT_API_AUTH_STRING", ""):
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    request = urllib.request.Request(url, data, headers)
    with urllib.request.urlopen(request, timeout=_API_SECONDS) as answer:
        return json.loads(answer.read())
