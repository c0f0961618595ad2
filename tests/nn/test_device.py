"""The processor's bf16; and the C library's memory, in a process of its own, since the setting stays."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

import walt.nn.device as devices
from tests.support.waiting import SECONDS
from walt.nn.device import arithmetic, computes_bf16

_FAULTS = """
import resource
import torch
from walt.nn.device import keep_freed_memory

keep_freed_memory({device!r})
counts = []
for _ in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [torch.ones(10 * 2**20) for _ in range(3)]  # 40 MiB each, 120 MiB together
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(counts))
"""


@pytest.fixture
def no_answers_kept() -> Iterator[None]:
    caches = (devices._processor_computes_bf16, devices._say_that_it_is_fp32)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def product(kind: str, precision: str) -> torch.dtype:
    with arithmetic(kind, precision):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


@pytest.mark.usefixtures("no_answers_kept")
def test_products_are_in_bf16_where_the_processor_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for able, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(devices, "_processor_computes_bf16", lambda able=able: able)
        assert [product("cpu", precision) for precision in ("bf16", "fp32", "bf16")] == [
            expected, torch.float32, expected,
        ]  # fmt: skip
    assert capsys.readouterr().out.count("no instructions for it") == 1


@pytest.mark.usefixtures("no_answers_kept")
def test_a_processor_that_goes_by_way_of_fp32_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for native in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda native=native: native)
        devices._processor_computes_bf16.cache_clear()
        assert computes_bf16("cpu") == native
        assert computes_bf16("cuda")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the setting is of the C library of Linux")
def test_freed_memory_is_taken_again_without_new_pages() -> None:
    """Pages of 4 KiB that had to be cleared for the same tensors, in the best of 8 rounds; on GPUs nothing is set."""
    faults = {}
    for device in ("cpu", "cuda"):
        code = _FAULTS.format(device=device)
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=SECONDS
        )
        faults[device] = int(found.stdout)
    assert faults["cpu"] < 1000
    assert faults["cuda"] > 10 * max(faults["cpu"], 1)
