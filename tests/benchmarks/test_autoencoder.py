"""The benchmark measures what it says: it runs, counts, and compares with the better peer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import autoencoder

diffusers = pytest.importorskip("diffusers")


def small_peers() -> list[tuple[str, Any]]:
    def cogvideox() -> Any:
        return diffusers.AutoencoderKLCogVideoX(
            block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4, latent_channels=4
        )

    def wan() -> Any:
        return diffusers.AutoencoderKLWan(base_dim=8, z_dim=4, num_res_blocks=1, latents_mean=[0] * 4)

    return [("CogVideoX", cogvideox), ("Wan", wan)]


@pytest.mark.slow
def test_it_runs_in_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(autoencoder, "peers", small_peers)
    options = "--frames 5 --side 32 --width 32 --blocks 1 --rounds 1 --precisions fp32 --device cpu"
    monkeypatch.setattr(sys, "argv", ["autoencoder", *options.split(), "--out", str(tmp_path / "deep/table.md")])
    autoencoder.main()
    table = (tmp_path / "deep/table.md").read_text()
    assert table.strip() in capsys.readouterr().out
    assert sum(line.startswith("| fp32") for line in table.splitlines()) == 1 + 2 * (1 + 2 * 2)
    assert "fp32 encode" in table
    assert "x the better peer as shipped" in table


def test_the_ratio_is_to_the_better_peer() -> None:
    def row(model: str, layout: str, rate: float) -> autoencoder.Row:
        return autoencoder.Row("bf16", model, layout, "encode", 1.0, "", rate, rate, 0.5, 0.9)

    rows = [row(autoencoder.OURS, "channels-last", 300)]
    rows += [row(model, layout, rate) for model, layout, rate in (
        ("A", "as shipped", 100), ("B", "as shipped", 150), ("A", "channels-last", 200), ("B", "channels-last", 120)
    )]  # fmt: skip
    rows += [autoencoder.Row("bf16", r.model, r.layout, "decode", 1.0, "", 1, 1, 0.5, 0.9) for r in rows]
    lines = list(autoencoder.ratios(rows))
    assert lines[0] == "- bf16 encode: 2.00 x the better peer as shipped (B)"
    assert lines[1] == "- bf16 encode: 1.50 x the better peer channels-last (A)"
