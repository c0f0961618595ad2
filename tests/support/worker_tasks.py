"""What workers do in tests: answer, sleep, crash, eat the memory, start processes. Workers import this module."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from walt.core.compute import ComputeConfig
from walt.core.errors import ConfigurationError


def compute(backend: str, workers: int = 2) -> ComputeConfig:
    """That many workers of a backend, on the CPU."""
    others = {
        "device": "cpu", "devices": 1, "cpu_processes": 1, "nodes": 1, "restarts": 0, "sharding": "none",
        "rank_timeout_minutes": 1.0, "megapixels_at_once": 1.0,
    }  # fmt: skip
    return ComputeConfig.model_validate({"workers": workers, "backend": backend, **others})


def task(item: Any) -> Any:
    """What the items of these tests ask for."""
    match item:
        case ("sleep", seconds):
            time.sleep(seconds)
        case ("compute", seconds):
            os.nice(5)  # a quarter of a processor that another process wants too
            until = time.process_time() + seconds
            while time.process_time() < until:
                pass
        case ("exit", status):
            os._exit(status)
        case ("crash",):
            ctypes.string_at(0)
        case ("allocate", megabytes):
            return len(bytearray(megabytes << 20))
        case ("faults", pictures):  # of 1 MB each, together in memory as those of a video are
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            held = [bytearray(1 << 20) for _ in range(pictures)]
            del held
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        case ("killed",):
            os.kill(os.getpid(), signal.SIGKILL)
        case ("raise",):
            raise ConfigurationError("asked to")
        case ("stuck in native code",):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ctypes.PyDLL(None).sleep(600)  # holds the interpreter: no other thread and no signal handler runs
        case ("stopped",):
            os.kill(os.getpid(), signal.SIGSTOP)
        case ("eat natively",):  # as a codec does: in C, where there is no MemoryError
            libc = ctypes.CDLL(None)
            libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
            libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
            for _ in range(1 << 12):  # 128 GiB, if nobody stops it
                block = libc.malloc(1 << 25)
                if not block:
                    os.abort()
                libc.memset(block, 1, 1 << 25)
        case ("eat bit by bit",):
            return len([bytearray(1 << 20) for _ in range(1 << 17)])
        case ("circle", megabytes):  # only a look for garbage frees it
            circle: list[Any] = [bytearray(megabytes << 20)]
            circle.append(circle)
        case ("parent",):
            return os.getppid()
        case ("kill parent",):
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        case ("child", pid_file):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            Path(pid_file).write_text(str(child.pid))
            time.sleep(600)
        case ("fork", pid_file, then):  # the child keeps the worker's end of the connection open
            if pid := os.fork():
                Path(pid_file).write_text(str(pid))
                return then if then == "answer" else os._exit(3)
            time.sleep(600)
    return item


def report_and_sleep(path: str) -> None:
    """Say who works, and hang."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)


def name_unless_it_says_otherwise(path: bytes) -> str | None:
    """The file's name; by it the process hangs, is killed, or has no answer."""
    name = os.path.basename(os.fsdecode(path))  # noqa: PTH119
    match name.partition(".")[0]:
        case "hangs":
            time.sleep(600)
        case "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        case "none":
            return None
    return name
