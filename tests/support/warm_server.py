"""A process that has the libraries of ``walt``'s stages or of ``dvc`` loaded, and forks: see ``tests/support/warm.py``.

It knows nothing of ``walt``: each fork imports that from the project for which it works. Its arguments are the name of
the command and the path of a Unix socket; it ends when its standard input does. A request may also be what Python is
given: ``-m`` and a module, or ``-c`` and a program.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

_OF_STAGES = (
    "torch", "torch._dynamo", "mlflow", "mlflow.store.tracking.sqlalchemy_store", "mlflow.data.meta_dataset", "pandas",
    "pyarrow.dataset", "pyarrow.parquet", "transformers", "transformers.models.t5.modeling_t5", "webdataset", "av",
    "pydantic", "ruamel.yaml", "typer", "rich.progress", "jinja2", "matplotlib.figure", "scipy.stats", "scipy.fft",
    "cv2", "imagehash", "scenedetect", "ffmpeg", "imageio_ffmpeg", "fsspec", "safetensors.torch",
)  # fmt: skip
_OF_DVC = (
    "dvc.cli.parser", "dvc.repo", "dvc.repo.reproduce", "dvc.repo.status", "dvc.stage.cache", "dvc.data_cloud",
    "dvc.cachemgr", "dvc.lock", "dvc.rwlock", "dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.metrics",
    "dvc.repo.params", "dvc.repo.plots", "dvc.repo.stage", "dvc.repo.index", "dvc.repo.graph", "dvc.repo.open_repo",
    "dvc.scm", "dvc.dirs", "dvc.daemon", "dvc.utils.strictyaml", "dvc_data.hashfile.status",
    "dvc_data.hashfile.db.local", "psutil", "configobj", "networkx", "pyparsing",
)  # fmt: skip
LIBRARIES = {"walt": _OF_STAGES, "dvc": _OF_DVC}
ARE_YOU_THERE = b"?"
"""What is sent instead of a request by whoever only wants an answer."""


def next_request(path: str) -> dict[str, Any]:
    """Serve on the socket; returns in each fork, with what it is to do. The server itself never returns."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the forks
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, 0], [], [])
            if 0 in ready:
                os._exit(0)
            connection = listener.accept()[0]
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                return _answered(connection)
            connection.close()


def _answered(connection: socket.socket) -> dict[str, Any]:
    """Fork once more: the child returns with the request; this process reports its exit status and ends."""
    sent, files, _, _ = socket.recv_fds(connection, 1, 3)
    if sent == ARE_YOU_THERE:
        connection.sendall(b"!")
        os._exit(0)
    with connection.makefile("rb") as stream:
        request: dict[str, Any] = json.load(stream)
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(str(status).encode())
        os._exit(0)
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    return request


def main() -> None:
    """Load the libraries, serve, and in each fork be the command."""
    sys.path.pop(0)  # this file's folder
    command, path = sys.argv[1:]
    if os.fork():
        os._exit(0)  # it is nobody's child: whoever started it may look for what its own tests have left
    for name in LIBRARIES[command]:
        importlib.import_module(name)
    gc.freeze()  # what is loaded is there to stay, and forks share it
    request = next_request(path)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None  # the caller's may be another
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if request["python"]:
        _run_python(*request["arguments"])
        return
    sys.argv = [command, *request["arguments"]]
    if command == "dvc":
        from dvc.cli import main as dvc

        sys.exit(dvc())
    from walt.cli import main as walt

    walt()


def _run_python(option: str, program: str, *arguments: str) -> None:
    """What ``python OPTION PROGRAM ARGUMENTS`` does."""
    sys.path.insert(0, str(Path.cwd()))
    sys.argv = [option, *arguments]
    if option == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(program, vars(sys.modules["__main__"]))


if __name__ == "__main__":
    main()
