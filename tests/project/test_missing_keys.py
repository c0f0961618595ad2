"""Keys that a params.yaml of an older version lacks: named with what adds them, and added without touching the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from walt.cli import app
from walt.core.config import load_section, read_yaml
from walt.core.errors import ConfigurationError
from walt.project.missing_keys import add_missing
from walt.project.params import Params
from walt.project.recipes import recipe_data, recipe_text
from walt.project.runner import load_params


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(recipe_text("demo"))
    return tmp_path / "params.yaml"


def drop(file: Path, *beginnings: str) -> list[str]:
    """Take lines out of a file; those that are left."""
    lines = file.read_text().split("\n")
    kept = [line for line in lines if not line.lstrip().startswith(beginnings)]
    assert len(lines) - len(kept) >= len(beginnings)
    file.write_text("\n".join(kept))
    return kept


@pytest.mark.slow
def test_a_missing_key_is_named_with_what_adds_it(file: Path) -> None:
    drop(file, "image_fraction:")
    with pytest.raises(ConfigurationError) as caught:
        load_params(file.parent)
    said = str(caught.value)
    assert said.startswith(f"{file}: missing key 'train_base.image_fraction' (and 1 more): `walt init --update` adds")
    assert "\n" not in said
    result = CliRunner().invoke(app, ["init", "--update"])
    assert result.exit_code == 0, result.output
    assert "train_base.image_fraction, train_sr_2x.image_fraction" in result.output.replace("\n", " ")
    assert load_params(file.parent).train_base.image_fraction == 0.125


@pytest.mark.slow
def test_keys_are_added_where_they_belong_and_every_line_stays(file: Path) -> None:
    file.write_text(re.sub("steps: [0-9]+ # optimizer steps", "steps: 77 # mine", file.read_text()))
    kept = drop(
        file, "seed:", "compile:", "kl:", "device:", "resolution: [32, 32]", "- {resolution", "forms:", "sr_4x:"
    )
    added = add_missing(file)
    assert added == [
        "seed", "train_autoencoder.compile", "train_autoencoder.forms", "train_autoencoder.loss.kl", "base.resolution",
        "train_base.compile", "train_sr_2x.compile", "sr_4x", "compute.device",
    ]  # fmt: skip
    lines = file.read_text().split("\n")
    assert "  steps: 77 # mine" in lines
    after = iter(lines)
    assert all(line in after for line in kept), "what was there is there, in its order"
    loss = lines.index("    reconstruction: 1.0 # squared error of the pixels")
    assert lines[loss + 1].startswith("    kl: 1.0e-6 # ")
    params = load_section(file, Params)
    assert (params.sr_4x, params.base.resolution) == (None, (32, 32))
    assert add_missing(file) == []


def test_a_whole_section_is_set_apart_and_comes_in_its_place(file: Path) -> None:
    before = file.read_text()
    start, end = before.index("diffusion:\n"), before.index("base:\n")
    file.write_text(before[:start] + before[end:])
    assert add_missing(file) == ["diffusion"]
    assert read_yaml(file) == recipe_data("demo")
    assert "\n\ndiffusion:\n  num_steps: 1000" in file.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "keys"),
    [
        ("demo", ["seed", "train_autoencoder.forms", "base.resolution", "base.width", "compute"]),
        ("tiny", ["seed", "train_autoencoder.compile", "train_base.optimizer", "compute"]),
    ],
)
def test_a_file_in_flow_style_or_with_other_line_ends(file: Path, recipe: str, keys: list[str]) -> None:
    data: dict[str, Any] = recipe_data(recipe)
    for section, _, key in (key.partition(".") for key in keys):
        del (data[section] if key else data)[key or section]
    file.write_text(json.dumps(data))
    assert add_missing(file) == keys
    assert set(read_yaml(file)) == set(Params.model_fields)
    text = recipe_text(recipe).replace("seed: 0 # of all that is random\n", "")
    file.write_bytes(text.replace("\n", "\r\n").encode())
    assert add_missing(file) == ["seed"]
    assert b"\n" not in file.read_bytes().replace(b"\r\n", b"")
    assert read_yaml(file) == recipe_data(recipe)


@pytest.mark.parametrize("style", ["|", "|-", "|+", ">-"])
def test_a_key_is_added_behind_a_text_of_several_lines(file: Path, style: str) -> None:
    text = file.read_text().split("\n")
    (number,) = (number for number, line in enumerate(text) if line.startswith("  descriptor:"))
    text[number : number + 1] = [f"  descriptor: {style}", "    datasets/shapes.yaml"]
    file.write_text("\n".join(line for line in text if not line.startswith("  path:")))
    before = read_yaml(file)
    assert add_missing(file) == ["dataset.path"]
    after = read_yaml(file)
    assert after["dataset"].pop("path") == "data/shapes"
    assert after == before


def test_a_file_in_which_there_is_no_place_for_a_line_stays_as_it_is(file: Path) -> None:
    drop(file, "crf:")
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r"))  # one line to us, many lines in YAML
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match=r"no place for the missing key 'ingest\.crf': add it by hand"):
        add_missing(file)
    assert file.read_bytes() == before


@pytest.mark.slow
def test_update_goes_with_nothing_else_and_leaves_a_whole_file_alone(file: Path) -> None:
    before = file.read_bytes()
    assert "has every key" in CliRunner().invoke(app, ["init", "--update"]).output
    for other in (["--recipe", "tiny"], ["--force"], ["--videos", "x"]):
        error = CliRunner().invoke(app, ["init", "--update", *other]).exception
        assert isinstance(error, ConfigurationError)
    assert file.read_bytes() == before
    file.unlink()
    assert isinstance(CliRunner().invoke(app, ["init", "--update"]).exception, ConfigurationError)


@pytest.mark.slow
def test_a_key_of_another_name_is_named_by_update_and_check(file: Path) -> None:
    file.write_text(
        file.read_text().replace("{resolution: [32, 32], num_frames: 17", "{size: [32, 32], num_frames: 17")
    )
    drop(file, "image_fraction:")
    for arguments in (["init", "--update"], ["check"]):
        result = CliRunner().invoke(app, arguments)
        assert "unknown key 'train_autoencoder.forms.0.size': it is called 'resolution' now" in str(result.exception)
    assert "image_fraction" not in file.read_text(), "nothing is added before the name is put right"


@pytest.mark.slow
def test_beside_a_misspelt_key_nothing_is_added(file: Path) -> None:
    file.write_text(file.read_text().replace("  crf:", "  crv:"))
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match=r"unknown key 'ingest\.crv'; did you mean 'crf'\?; nothing was added"):
        add_missing(file)
    assert file.read_bytes() == before


@pytest.mark.slow
def test_a_key_whose_default_does_not_fit_is_not_added_but_named(file: Path) -> None:
    file.write_text(file.read_text().replace("sizes: [[32, 32]", "sizes: [[48, 48]"))
    drop(file, "forms:", "- {resolution")
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match=r"; nothing was added \(missing: train_autoencoder\.forms\)$"):
        add_missing(file)
    assert file.read_bytes() == before


def without(file: Path, section: str, instead: str = "") -> None:
    """Take a section out of a file."""
    text = file.read_text()
    shorter = re.sub(rf"^{section}:.*\n(?:[ #].*\n|\n)*", instead, text, count=1, flags=re.MULTILINE)
    assert shorter != text
    file.write_text(shorter)


@pytest.mark.slow
def test_a_section_that_the_rest_needs_comes_back_whole(file: Path) -> None:
    without(file, "text")
    assert add_missing(file) == ["text"]
    assert load_params(file.parent).text is not None
    without(file, "aspect")
    without(file, "finetune_aspect")
    assert add_missing(file) == ["aspect", "finetune_aspect"]
    assert load_params(file.parent).aspect is None, "null fits"


@pytest.mark.slow
@pytest.mark.parametrize("braces", ["{}", "&mine {  # of which\n  }"])
def test_a_mapping_of_nothing_gets_its_keys(file: Path, braces: str) -> None:
    whole = load_params(file.parent)
    without(file, "diffusion", f"diffusion: {braces}\n")
    assert add_missing(file)[:2] == ["diffusion.num_steps", "diffusion.beta_start"]
    assert load_params(file.parent) == whole


@pytest.mark.slow
@pytest.mark.parametrize("old", ["diffusion:\n", "train_base:\n"])
def test_a_section_that_may_not_be_null_is_named_and_nothing_is_added(file: Path, old: str) -> None:
    lines = file.read_text().replace("seed: 0 # of all that is random\n", "").splitlines(keepends=True)
    start = lines.index(old)
    end = next(number for number in range(start + 1, len(lines)) if not lines[number].startswith((" ", "\n")))
    file.write_text("".join([*lines[:start], f"{old.strip()} null\n", *lines[end:]]))
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match=rf"key '{old[:-2]}': .*nothing was added"):
        add_missing(file)
    assert file.read_bytes() == before


def test_a_linked_file_is_written_where_it_is_and_keeps_its_mode(file: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.yaml"
    file.rename(real)
    real.chmod(0o640)
    file.symlink_to(real)
    drop(real, "crf:")
    assert add_missing(file) == ["ingest.crf"]
    assert file.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert load_params(file.parent).ingest.crf == 8


def test_without_a_file_it_is_said_what_writes_it(file: Path) -> None:
    file.unlink()
    for arguments in (["init", "--update"], ["check"]):
        assert "params.yaml: no such file; `walt init` writes it" in str(CliRunner().invoke(app, arguments).exception)


def test_what_comes_by_a_merge_key_is_not_missing(file: Path) -> None:
    text = file.read_text().replace("  optimizer:", "  optimizer: &shared", 1)
    head, _, tail = text.partition("train_base:")
    begin = tail.index("  optimizer:")
    end = tail.index("  ema_decay", begin)
    file.write_text(
        f"{head}train_base:{tail[:begin]}  optimizer:\n    <<: *shared\n    gradient_clip: 3.0\n{tail[end:]}"
    )
    before = load_params(file.parent)
    assert before.train_base.optimizer.gradient_clip == 3.0
    assert add_missing(file) == []
    assert load_params(file.parent) == before
