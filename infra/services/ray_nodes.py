"""Ray: a head and further nodes, each at an address of its own of this machine's loopback range."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from flows.processes import command_environment
from flows.server import free_port
from infra.services.process import Service

_STORE_BYTES = 100 * 2**20
_COUNT = "import ray; ray.init(log_to_driver=False); print(sum(node['Alive'] for node in ray.nodes()))"


class RayNode(Service):
    """One node with one core. It stays in the foreground so that it ends with its process: ``ray stop`` would end every
    Ray of the machine."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str], head: RayNode | None = None) -> None:
        """
        Args:
            folder: short: the path of Ray's socket in it has at most 107 characters.
            environment: with which the work that is done there reaches the other services.
            head: of the cluster that it joins; without one it is the head.
        """
        super().__init__(name, folder)
        self._head, self._environment = head, environment
        self._ip = "127.0.0.3" if head else "127.0.0.2"  # at 127.0.0.1 Ray takes another interface's address
        self._port = free_port()
        self._token = secrets.token_hex(32)

    @property
    def client(self) -> dict[str, str]:
        """The environment of a client. The token is that of the whole cluster: without one in it, the head makes one
        that only its own machine has."""
        head = self._head or self
        return {
            "RAY_ADDRESS": f"{head._ip}:{head._port}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": head._token,
        }

    def command(self) -> list[str]:
        """``ray start --block``."""
        if self._head:
            where = ["--address", self.client["RAY_ADDRESS"]]
        else:
            where = ["--head", f"--port={self._port}", f"--temp-dir={self.folder / 'ray'}", "--include-dashboard=false"]
        sizes = ["--num-cpus=1", "--num-gpus=0", f"--object-store-memory={_STORE_BYTES}"]
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        return [*ray, *where, f"--node-ip-address={self._ip}", *sizes]

    def environment(self) -> Mapping[str, str]:
        """Of what is done there too."""
        without_address = {name: value for name, value in self.client.items() if name != "RAY_ADDRESS"}
        return {**self._environment, **without_address, "RAY_worker_niceness": "0"}  # else its processes wait for all

    def is_ready(self) -> bool:
        """Whether it has started, and the head knows of it."""
        if b"Local node IP" not in self.log.read_bytes():
            return False
        counting = [sys.executable, "-c", _COUNT]
        done = subprocess.run(
            counting, env=command_environment(self.client), capture_output=True, text=True, check=False
        )
        return done.stdout.strip() == ("2" if self._head else "1")
