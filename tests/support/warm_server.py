"""A process that has the libraries of the stages loaded, and forks: see ``tests/support/warm.py``.

It knows nothing of ``walt``: each fork imports that from the project for which it works. Its one argument is the path
of a Unix socket; it ends when its standard input does.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any

LIBRARIES = (
    "torch", "torch._dynamo", "mlflow", "mlflow.store.tracking.sqlalchemy_store", "mlflow.data.meta_dataset", "pandas",
    "pyarrow.dataset", "pyarrow.parquet", "transformers", "transformers.models.t5.modeling_t5", "webdataset", "av",
    "pydantic", "ruamel.yaml", "typer", "rich.progress", "jinja2", "matplotlib.figure", "torchmetrics", "scipy.fft",
    "cv2", "imagehash", "scenedetect", "ffmpeg", "imageio_ffmpeg", "fsspec", "safetensors.torch",
)  # fmt: skip


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
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
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
    """Load the libraries, serve, and in each fork be ``walt``."""
    sys.path.pop(0)  # this file's folder
    for name in LIBRARIES:
        importlib.import_module(name)
    request = next_request(sys.argv[1])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:0] = request["environment"]["PYTHONPATH"].split(os.pathsep)
    sys.argv = ["walt", *request["arguments"]]
    from walt.cli import main as walt

    walt()


if __name__ == "__main__":
    main()
