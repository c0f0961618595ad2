"""``walt doctor``: whether everything is here that the stages need, and what to do about what is missing.

A check only looks; it writes nothing except files in a temporary folder. It gives a line: ``ok``; ``warn``, where some
things will not work; ``fail``, where the pipeline will not.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from walt.core.config import load_section
from walt.core.errors import ConfigurationError, StorageError, WaltError
from walt.core.log import console
from walt.core.paths import Paths, located
from walt.core.remote import s3_credentials
from walt.core.scratch import scratch_folder
from walt.core.secrets import without_secrets
from walt.ingest.config import Descriptor
from walt.project.missing_sources import missing_sources
from walt.project.params import Params
from walt.project.runner import load_params
from walt.tracking import schema
from walt.tracking.server import resolve_uri

Status = Literal["ok", "warn", "fail"]

_SECONDS = 5.0
"""How long to wait for a server."""
_BREAKING: dict[str, tuple[tuple[int, int], str]] = {
    "torchvision": ((0, 0), "its presence breaks the import of T5"),
    "av": ((19, 0), "no video is read with 19 or later"),
    "fastapi": ((0, 151), "Prefect's server does not start with 0.151 or later"),
    "sqlalchemy": ((2, 1), "Prefect's scheduler never fires with 2.1 or later"),
}
"""Package -> the first version that was seen to break something, and what it breaks."""
_INSTALL = ("make install", "install walt again, as README says")
"""What to do in a clone, and elsewhere."""


@dataclass(frozen=True)
class Check:
    """What was checked."""

    name: str
    status: Status
    found: str
    advice: str = ""
    """What to do next; empty where all is well."""


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check that everything is here that the stages need, and say what to do where it is not; status 4 if so."""
    checks = examine(Path.cwd())
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        table = Table(box=None, show_header=False)
        for check in checks:
            colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.status]
            advice = f"\n-> {check.advice}" if check.advice else ""
            table.add_row(f"[{colour}]{check.status}[/]", check.name, escape(check.found + advice))
        console.print(table, soft_wrap=False)
    failed = [check.name for check in checks if check.status == "fail"]
    if failed:
        raise StorageError(f"doctor: {', '.join(failed)}")


def examine(root: Path) -> list[Check]:
    """All checks of this machine for the project at ``root``, in the order in which their findings are best fixed."""
    scratch = _temporary_files()
    encoders: Iterable[Check] = _encoders() if scratch.status == "ok" else ()
    checks = [_python(), *_packages(), scratch, *encoders, _disk(root)]
    try:
        params = load_params(root)
    except ConfigurationError as error:
        advice = next((way for way in ("walt init --update", "walt init") if f"`{way}`" in str(error)), "fix the key")
        return [*checks, Check("params.yaml", "fail", str(error), advice), _dvc(root), _prefect()]
    checks.append(Check("params.yaml", "ok", "every key is in order"))
    checks += [*_sources(params, root), *_text_encoder(params, root), _device(params), *_s3(params, root)]
    return [*checks, _dvc(root), _mlflow(params.tracking.uri, root), _prefect()]


def _way(in_a_clone: str, elsewhere: str) -> str:
    """What to do, by where this package is: a clone has a Makefile, an installed wheel has none beside it."""
    return in_a_clone if (Path(__file__).parents[2] / "Makefile").is_file() else elsewhere


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        return Check("python", "ok", version)
    return Check(
        "python",
        "fail",
        f"{version}, but 3.11 to 3.13 are needed",
        _way("make install PYTHON=python3.11", "a new environment of python3.11"),
    )


def _packages() -> Iterator[Check]:
    for name, (limit, why) in _BREAKING.items():
        version = _version(name)
        if version and tuple(map(int, version.split(".")[:2])) >= limit:
            advice = _way("pip install -c constraints.txt -e .", _INSTALL[1]) if any(limit) else f"pip uninstall {name}"
            yield Check("packages", "fail", f"{name} {version}: {why}", advice)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _temporary_files() -> Check:
    try:
        with scratch_folder() as folder:
            (folder / "some").write_bytes(bytes(1 << 20))
            return Check("temporary files", "ok", f"in {folder.parent}")
    except StorageError as error:
        return Check("temporary files", "fail", str(error), "stages on several devices, videos and pages need them")


def _encoders() -> Iterator[Check]:
    """Both ways to H.264, by using them: PyAV's libx264 for clips, the ffmpeg binary for videos that people play."""
    again = "--force-reinstall av imageio-ffmpeg"
    advice = _way(f"pip install -c constraints.txt {again}", f"pip install {again}")
    try:
        import numpy as np

        from walt.media.mp4 import decode_clip, encode_clip
        from walt.media.playable import write_playable
    except (ImportError, OSError) as error:
        yield Check("ffmpeg", "fail", _one_line(error), advice)
        return
    clip = np.zeros((5, 16, 16, 3), dtype=np.uint8)
    with scratch_folder() as folder:
        ways: dict[str, Callable[[], object]] = {
            "libx264": lambda: decode_clip(encode_clip(clip, 8, 8)),
            "ffmpeg": lambda: write_playable(folder / "clip.mp4", clip, 8, {}),
        }
        for name, way in ways.items():
            try:
                way()
                yield Check(name, "ok", "writes videos")
            except (WaltError, OSError, ValueError, RuntimeError) as error:  # the last: no binary for this machine
                yield Check(name, "fail", _one_line(error), advice)


def _disk(root: Path) -> Check:
    if not os.access(root, os.W_OK):
        return Check("disk", "fail", f"{root} cannot be written", "change its permissions, or work elsewhere")
    free = shutil.disk_usage(root).free / (1 << 30)
    status: Status = "ok" if free >= 10 else "warn" if free >= 1 else "fail"
    advice = "" if status == "ok" else "make room: data, models and DVC's cache are here"
    return Check("disk", status, f"{free:.1f} GiB free", advice)


def _sources(params: Params, root: Path) -> Iterator[Check]:
    """The folders that ingest reads. What is wrong with the descriptor is for ``walt check`` to say."""
    try:
        descriptor = load_section(root / params.dataset.descriptor, Descriptor)
    except ConfigurationError:
        return
    missing = missing_sources(descriptor, params.dataset.path, Paths(root))
    if missing is None:
        yield Check("sources", "ok", f"{params.dataset.path}: there, or made by `walt prepare`")
    else:
        yield Check("sources", "warn", f"{missing.found}, so ingest cannot run", missing.advice)


def _device(params: Params) -> Check:
    try:
        import torch

        from walt.nn.device import select_device

        device = select_device(params.compute.device)
    except (ImportError, OSError) as error:
        return Check("torch", "fail", _one_line(error), f"{_way(*_INSTALL)} (for a processor: PyTorch's CPU index)")
    except ConfigurationError as error:
        return Check("torch", "fail", str(error), "set compute.device to auto, or install the driver")
    threads = torch.get_num_threads()
    processor = f"processor, {threads} thread{'s' if threads != 1 else ''}"
    name = torch.cuda.get_device_name() if device == "cuda" else processor
    return Check("torch", "ok", f"{torch.__version__}, {name}")


def _text_encoder(params: Params, root: Path) -> Iterator[Check]:
    """A folder whose weights are pickled is refused by encode-text, after ingest and a training."""
    from walt.text.pickled_weights import has_only_pickled

    if params.text is not None and has_only_pickled(located(root, params.text.encoder)):
        advice = f"walt convert-text-encoder {params.text.encoder}"
        yield Check("text encoder", "fail", f"{params.text.encoder}: pickled weights only, which are not read", advice)


def _s3(params: Params, root: Path) -> Iterator[Check]:
    """Credentials, where a parameter, a member of the dataset or a DVC remote is in a bucket. Whether they are let in,
    a request will show."""
    config = root / ".dvc/config"
    users = re.findall(r'"(s3://[^"]+)"', params.model_dump_json())
    users += _members_in_buckets(root / params.dataset.descriptor)
    users += ["a DVC remote"] if config.is_file() and "s3://" in config.read_text(encoding="utf-8") else []
    if not users:
        return
    found = s3_credentials()
    if found is None:
        advice = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_ENDPOINT_URL), or AWS_PROFILE"
        yield Check("s3", "fail", f"no credentials for {users[0]}", advice)
    else:
        yield Check("s3", "ok", f"credentials by {found} for {users[0]}")


def _members_in_buckets(file: Path) -> list[str]:
    """Of a dataset that is a union. What is wrong with its descriptor is for ``walt check`` to say."""
    try:
        members = load_section(file, Descriptor).members().values()
    except ConfigurationError:
        return []
    return [member.path for member in members if member.path.startswith("s3://")]


def _dvc(root: Path) -> Check:
    binary = shutil.which("dvc", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if binary is None:
        return Check(
            "dvc",
            "fail",
            "no such command",
            _way("make install, and source .venv/bin/activate", "activate the environment in which walt is"),
        )
    result = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    if result.returncode:
        return Check("dvc", "fail", (result.stderr.splitlines() or ["it does not start"])[-1], _way(*_INSTALL))
    from walt.project import dvc_yaml as pipeline

    file = root / pipeline.PIPELINE_FILE
    if not file.is_file() or not (root / ".dvc").is_dir():
        advice = "dvc init" if file.is_file() else "walt init"
        return Check("dvc", "warn", f"{result.stdout.strip()}, but this is not a DVC project", advice)
    if not pipeline.is_current(root):
        return Check("dvc", "warn", f"{pipeline.PIPELINE_FILE} differs from the registry", "walt pipeline --write")
    return Check("dvc", "ok", result.stdout.strip())


def _mlflow(uri: str, root: Path) -> Check:
    if uri.startswith(("http://", "https://")):
        user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
        login = f"{user}:{password}" if user else uri.partition("://")[2].rpartition("@")[0]
        advice = "start the server, or set tracking.uri"
        where = _Server(uri.rstrip("/"), "/health", "/api/2.0/mlflow/experiments/search?max_results=1", login)
        return _answers("mlflow", where, advice, "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
    uri = resolve_uri(uri, root)
    file = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
    name = file.name if file else without_secrets(uri)
    if file and not file.exists():
        return Check("mlflow", "ok", f"{name} is made by the first run")
    try:
        found = schema.look(uri)
    except StorageError as error:
        advice = "move it away; the next run makes a new one" if file else "start it and install its driver"
        return Check("mlflow", "fail", _one_line(error), advice)
    if found.advice:
        return Check("mlflow", "fail", f"{name} is of another version", found.advice)
    return Check("mlflow", "ok", f"{name}, {found.runs} runs")


def _prefect() -> Check:
    url = os.environ.get("PREFECT_API_URL")
    if url is None:
        return Check("prefect", "ok", f"{_version('prefect')}; no server is named, so a flow starts one for itself")
    if not url.strip():
        return Check("prefect", "fail", "PREFECT_API_URL is blank", "unset PREFECT_API_URL")
    where = _Server(url.rstrip("/"), "/health", "/admin/version", os.environ.get("PREFECT_API_AUTH_STRING", ""))
    advice = f"{_way('make serve', 'python -m flows.serve')}, or unset PREFECT_API_URL"
    return _answers("prefect", where, advice, "PREFECT_API_AUTH_STRING")


@dataclass(frozen=True)
class _Server:
    url: str
    health: str
    """Path that is answered without a login."""
    private: str
    """Path that is answered with one, where the server asks for one."""
    login: str
    """``user:password``, or nothing."""


def _answers(name: str, server: _Server, advice: str, variables: str) -> Check:
    """Whether a server reports that it is healthy, and lets us in. It is shown without the password that its URL may
    hold.

    Args:
        advice: where it is away.
        variables: that hold the login.
    """
    protocol, _, rest = server.url.partition("://")
    shown = rest.rpartition("@")[2]
    login = {"Authorization": f"Basic {base64.b64encode(server.login.encode()).decode()}"} if server.login else {}
    private = urllib.request.Request(f"{protocol}://{shown}{server.private}", headers=login)
    for request in (f"{protocol}://{shown}{server.health}", private):
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS):
                continue
        except urllib.error.HTTPError as error:
            if request is private and error.code in (401, 403):
                return Check(name, "fail", f"{shown} refuses the login", f"set {variables}")
            if request is not private:
                return Check(name, "fail", f"{shown}: {_one_line(error)}", advice)
        except (OSError, ValueError) as error:
            return Check(name, "fail", f"{shown}: {_one_line(error)}", advice)
    return Check(name, "ok", f"{shown} answers")


def _one_line(error: object) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
