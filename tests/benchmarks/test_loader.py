"""The benchmarks of the loader: their sums, that every form holds the same samples, and that they run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import loader, loader_forms, loader_opening
from benchmarks.loader_forms import CONTESTANTS, samples, write_stored_form
from tests.support.project import ROOT

OURS = ("memory map", "ours", "ours, float32", "WebDataset, safetensors", "WebDataset, npy")
"""Contestants that need no library that the project does not have."""


def contestant(name: str, *passes: float) -> loader.Contestant:
    return loader.Contestant(name, None, list(passes))  # type: ignore[arg-type]


def test_speeds_and_ratios_are_of_later_passes() -> None:
    found = loader.rows([contestant("memory map", 9, 1, 2, 1), contestant("ours", 4, 2, 2, 2)], 4000)
    assert found == [
        ["memory map", "0.4", "4.0", "2.0 to 4.0", "0.50 x", "0.7 x"],
        ["ours", "1.0", "2.0", "2.0 to 2.0", "", ""],
    ]


def test_every_form_holds_the_same_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stored_form(tmp_path / "walt", 6)
    seen: list[tuple[float, int]] = []
    monkeypatch.setattr(
        loader_forms, "in_batches", lambda pairs, size: len([seen.append(one(*pair)) for pair in pairs])
    )
    for name in OURS:
        assert CONTESTANTS[name](tmp_path, 6, 3)() == 6
    expected = [one(*pair) for pair in samples(6)]
    assert seen == expected * 2


def one(latent: object, text: object) -> tuple[float, int]:
    """What tells a sample from others."""
    array = np.asarray(torch.as_tensor(latent))
    return float(array.astype(np.float64).sum()), len(torch.as_tensor(text))


MEASURES = """
import sys
from pathlib import Path
from benchmarks import loader_opening
from walt.data import tar_places
tar_places._KEPT_FROM = 1
loader_opening.measure_memory(Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_clips_take_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The goal: 100 bytes per clip, with text and order. In a process in which nothing else comes or goes."""
    monkeypatch.setenv("WALT_CACHE", str(tmp_path / "cache"))
    loader_opening.write(tmp_path, 2, 1000)
    command = [sys.executable, "-c", MEASURES, str(tmp_path)]
    measured = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    latents, text, order = map(int, measured.stdout.split())
    assert latents >= 16, "a key"
    assert text >= 32, "a key and a caption's id"
    assert latents + text + order < 100


@pytest.mark.slow
def test_it_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With two processes; what a contestant's process does is the same for all but its form, which is tested above."""
    some = ("ours", "WebDataset, npy")
    monkeypatch.setattr(
        sys, "argv", ["loader", "--clips", "16", "--batch", "8", "--rounds", "2", "--only", *some, "MDS"]
    )
    loader.main()
    out = capsys.readouterr().out
    assert "MDS is left out: ModuleNotFoundError" in out
    assert all(f"| {name} " in out for name in some)


@pytest.mark.slow
def test_the_opening_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["loader_opening", "--tars", "3", "--clips", "4", "--openings", "1"])
    loader_opening.main()
    assert "| opening 1 | " in capsys.readouterr().out
