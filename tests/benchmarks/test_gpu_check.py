"""``make gpu-check`` runs in small on a processor, and says so where a check fails or is not reached."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import gpu_check, gpu_checks
from benchmarks.gpu_models import CheckError, Setup, demand


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpu_check", *options])
    with pytest.raises(SystemExit) as ended:
        gpu_check.main()
    assert isinstance(ended.value.code, int), ended.value.code
    return ended.value.code


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_dry_run_passes_and_has_every_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    before = gpu_check.PAGE.read_bytes()
    assert run(monkeypatch, "--device", "cpu", "--tiny", "--out", str(page)) == 0
    text = page.read_text()
    assert "FAILED" not in text
    assert "NOT REACHED" not in text
    for name in (*gpu_checks.CHECKS, "utilisation"):
        assert f"| {name} " in text, name
    for model in ("| L, ", "| XL, ", "base of t2v", "aspect of t2v", "sr_2x of t2v", "sr_4x of t2v"):
        assert model in text, model
    assert "of matmul" in text
    assert gpu_check.PAGE.read_bytes() == before, "a dry run is not a result"


def test_a_check_that_fails_is_a_row_and_a_status(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(setup: Setup) -> gpu_checks.Found:
        yield "first half", "well"
        demand(False, "the second half is wrong")

    def breaks(setup: Setup) -> gpu_checks.Found:
        raise RuntimeError("CUDA error: no kernel\nwith details")

    monkeypatch.setattr(gpu_check, "CHECKS", {"attention": fails, "resume": breaks, "sampling": lambda setup: iter(())})
    options = ["--device", "cpu", "--tiny", "--out", str(tmp_path / "gpu.md"), "--only"]
    assert run(monkeypatch, *options, "attention", "resume", "sampling") == 1
    lines = [line.split("|")[1:4] for line in (tmp_path / "gpu.md").read_text().splitlines() if line.startswith("|")]
    found = [tuple(cell.strip() for cell in line) for line in lines]
    assert ("attention", "first half", "well") in found
    assert ("attention", "", "FAILED: CheckError: the second half is wrong") in found
    assert ("resume", "", "FAILED: RuntimeError: CUDA error: no kernel") in found
    assert ("sampling", "all of it", "0 s") in found, "the others still ran"
    assert run(monkeypatch, *options, "sampling") == 0
    assert run(monkeypatch, *options, "sampling", "--minutes", "-1") == 1
    assert "NOT REACHED" in (tmp_path / "gpu.md").read_text()


def test_a_missing_gradient_is_found() -> None:
    _, config, _, count = next(iter(gpu_checks.transformers(setup := Setup("cpu", True, Path("unused")))))
    model = gpu_checks.transformer(config, setup)
    gpu_checks.backward(model, setup, count)
    gpu_checks.check_gradients(model)
    model.blocks[0].mlp[0].weight.grad = None
    with pytest.raises(CheckError, match=r"blocks\.0\.mlp\.0\.weight has no gradient"):
        gpu_checks.check_gradients(model)
