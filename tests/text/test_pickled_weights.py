"""A T5's pickled weights as safetensors: the same bits, and no pickle that could run code."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from walt.cli import app
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.storage import write_json
from walt.text import pickled_weights
from walt.text.config import TinyT5Config
from walt.text.encoder import TINY_FOLDER, open_text_encoder
from walt.text.pickled_weights import convert, has_only_pickled
from walt.text.tiny import build_tiny_encoder

TINY = TinyT5Config(width=16, layers=2, heads=2, vocabulary=64, frozen=None)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 as transformers saves it."""
    folder = tmp_path_factory.mktemp("whole")
    build_tiny_encoder(["a red circle"], TINY, 0, folder)
    return folder / TINY_FOLDER


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """The same without weights."""
    target = shutil.copytree(whole, tmp_path / "t5")
    (target / "model.safetensors").unlink()
    return target


def weights(whole: Path) -> dict[str, Any]:
    """With a tensor that shares its memory, one that is not a number, one without dimensions, one in bf16."""
    found: dict[str, Any] = load_file(whole / "model.safetensors")
    found["encoder.embed_tokens.weight"] = found["shared.weight"]
    return found | {
        "x.nan": torch.tensor([float("nan"), 1.0]), "x.scalar": torch.tensor(3), "x.view": torch.arange(6.0)[::2],
        "x.bf16": torch.ones(3, dtype=torch.bfloat16),
    }  # fmt: skip


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one.nan_to_num(7.5), other.nan_to_num(7.5))


def test_the_same_tensors(whole: Path, folder: Path) -> None:
    tensors = weights(whole)
    torch.save(tensors, folder / "pytorch_model.bin")
    assert has_only_pickled(folder)
    assert convert(folder) == {"model.safetensors": len(tensors)}
    written = load_file(folder / "model.safetensors")
    assert written.keys() == tensors.keys()
    assert all(same(written[name], tensor) for name, tensor in tensors.items())
    assert not has_only_pickled(folder)
    assert (folder / "pytorch_model.bin").is_file()
    first, second = (open_text_encoder(str(one), 8, "cpu", ".") for one in (whole, folder))
    assert first.digest == second.digest


def test_parts(whole: Path, folder: Path) -> None:
    tensors = weights(whole)
    names = sorted(tensors)
    parts = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for part, inside in parts.items():
        torch.save({name: tensors[name].clone() for name in inside}, folder / part)
    places = {name: part for part, inside in parts.items() for name in inside}
    write_json(folder / "pytorch_model.bin.index.json", {"metadata": {}, "weight_map": places})
    written = convert(folder)
    assert list(written) == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert sum(written.values()) == len(tensors)
    first, second = (open_text_encoder(str(one), 8, "cpu", ".") for one in (whole, folder))
    assert first.digest == second.digest


def test_what_runs_code_is_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    torch.save({"a": Evil(tmp_path / "made")}, folder / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match=r"pytorch_model\.bin: holds more than tensors") as error:
        convert(folder)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "made").exists()
    assert has_only_pickled(folder)


@pytest.mark.parametrize("content", [[torch.ones(1)], {"a": 1}, {1: torch.ones(1)}, torch.ones(2)])
def test_what_is_no_mapping_of_tensors(folder: Path, content: Any) -> None:
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match="not a mapping from names to tensors"):
        convert(folder)


def test_damaged_and_missing_files(whole: Path, folder: Path) -> None:
    file = folder / "pytorch_model.bin"
    torch.save(weights(whole), file)
    data = file.read_bytes()
    for cut in (len(data) // 2, 10, 0):
        file.write_bytes(data[:cut])
        with pytest.raises((CorruptArtifactError, ConfigurationError), match=r"pytorch_model\.bin: "):
            convert(folder)
    file.unlink()
    write_json(folder / "pytorch_model.bin.index.json", {"weight_map": {"a": "gone.bin"}})
    with pytest.raises(CorruptArtifactError, match=r"gone\.bin is missing"):
        convert(folder)
    write_json(folder / "pytorch_model.bin.index.json", {"weight_map": {"a": "../gone.bin"}})
    with pytest.raises(CorruptArtifactError, match=r"gone\.bin is missing"):
        convert(folder)
    write_json(folder / "pytorch_model.bin.index.json", [])
    with pytest.raises(CorruptArtifactError, match="not an index"):
        convert(folder)
    assert not list(folder.glob("*safetensors*"))


def test_a_written_file_that_differs_is_not_kept(whole: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(weights(whole), folder / "pytorch_model.bin")
    monkeypatch.setattr(pickled_weights, "_same_bits", lambda *_: False)
    with pytest.raises(CorruptArtifactError, match="differs from the pickle"):
        convert(folder)
    assert not list(folder.glob("*safetensors*"))


def test_nothing_to_do(whole: Path, folder: Path, tmp_path: Path) -> None:
    for place, said in (
        (whole, "is there: nothing to do"),
        (folder, "no pytorch_model.bin"),
        (tmp_path / "x", "no such"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            convert(place)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigurationError, match="a bert model, not a T5"):
        convert(folder)


def test_the_refusal_names_the_command_and_the_command_works(whole: Path, folder: Path) -> None:
    torch.save(weights(whole), folder / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match=f"`walt convert-text-encoder {folder}` makes safetensors"):
        open_text_encoder(str(folder), 8, "cpu", ".")
    result = CliRunner().invoke(app, ["convert-text-encoder", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "weights_only=True" in result.output
    assert "bit by bit" in result.output
    assert open_text_encoder(str(folder), 8, "cpu", ".").width == 16
