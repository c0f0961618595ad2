"""``walt describe``: what it says of the recipes, and how."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import T5Config, T5EncoderModel
from typer.testing import CliRunner, Result

from tests.support.settings import changed, recipe
from walt.autoencoder.model import CausalAutoencoder
from walt.cli import app
from walt.commands.describe import model_sizes, planned_steps
from walt.commands.describe.model_sizes import ModelDescription, describe, in_units
from walt.core.config import parse_section
from walt.core.errors import ConfigurationError
from walt.core.transformers import TRANSFORMER_NAMES
from walt.project.params import Params
from walt.project.recipes import load_recipe, recipe_data, recipe_text
from walt.transformer.model import WaltTransformer


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["describe", *arguments])


def with_text_encoder(source: str) -> Params:
    """The tiny recipe with another text encoder."""
    data = recipe_data("tiny")
    data["text"]["encoder"] = source
    return parse_section(data, Params, "tiny")


@pytest.fixture(scope="module", autouse=True)
def _each_transformer_once() -> Iterator[None]:
    """A transformer that several tests ask for is described once: most change something else."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(model_sizes, "_transformer", functools.cache(model_sizes._transformer))
        yield


@pytest.fixture(scope="module")
def tiny() -> dict[str, Any]:
    """The models of the tiny recipe."""
    params = load_recipe("tiny")
    models: dict[str, Any] = describe(params, "tiny", Path.cwd())["models"]
    return models


@pytest.mark.slow
def test_json_has_every_model_and_every_key() -> None:
    result = run("--recipe", "tiny", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["recipe"] == "tiny"
    assert list(document["models"]) == ["encoder", "decoder", "discriminator", "text_encoder", *TRANSFORMER_NAMES]
    for model in document["models"].values():
        assert set(model) == {field.name for field in dataclasses.fields(ModelDescription)}
        assert sum(model["parts"].values()) == model["parameters"] > 0
        assert model["flops"] > 0


def test_numbers_are_those_of_the_real_models(tiny: dict[str, Any]) -> None:
    params = load_recipe("tiny")
    autoencoder = CausalAutoencoder(params.autoencoder)
    for name, model in {
        "encoder": autoencoder.encoder,
        "decoder": autoencoder.decoder,
        **{name: WaltTransformer(config) for name, (config, _) in params.transformers().items()},
    }.items():
        assert tiny[name]["parameters"] == sum(parameter.numel() for parameter in model.parameters())
        assert tiny[name]["activation_bytes"] > 0
    assert tiny["encoder"]["input_shape"] == [3, 9, 16, 16]  # the largest form: 2304 pixels against a still's 2048
    assert tiny["encoder"]["latent_shape"] == tiny["decoder"]["input_shape"] == [8, 3, 2, 2]
    assert tiny["sr_2x"]["latent_shape"] == [8, 3, 4, 8]
    assert [tiny[name]["tokens"] for name in (*TRANSFORMER_NAMES, "text_encoder")] == [12, 24, 24, 24, 16]


def test_parts_of_a_transformer(tiny: dict[str, Any]) -> None:
    """Two layers of width 16 with an MLP of 32, two heads, windows 1x2x2 and 3x2x2."""
    parts = tiny["base"]["parts"]
    assert parts["mlp"] == 2 * (16 * 32 + 32 + 32 * 16 + 16)
    assert parts["self_attention"] == 2 * (16 * 48 + 48 + 16 * 16 + 16 + 2 * 8)
    assert parts["relative_position_bias"] == 2 * (1 * 3 * 3) + 2 * (5 * 3 * 3)
    assert parts["position_embedding"] == (2 * 2 + 3) * 16
    assert parts["adaln_shared"] == 16 * 96 + 96
    assert parts["adaln_lora"] == 2 * (16 * 2 + 2 * 96)
    assert "low_resolution_input" not in parts
    assert tiny["sr_2x"]["parts"]["low_resolution_input"] > 0


@pytest.mark.slow
def test_parts_of_a_class_conditional_transformer(tiny: dict[str, Any]) -> None:
    data = recipe_data("tiny")
    for name in ("base", "sr_2x", "sr_4x"):
        data[name] |= {"conditioning": "class", "num_classes": 3, "text_width": None, "cross_attention": None}
    data["text"], data["sample"]["prompts"] = None, "classes"
    model = describe(parse_section(data, Params, "tiny"), "tiny", Path.cwd())["models"]["base"]
    assert model["parts"]["label_embedding"] == (3 + 1) * 16
    assert set(tiny["base"]["parts"]) - set(model["parts"]) == {"text_projection", "cross_attention"}
    assert model["note"] == "a sample is a video with its class"


@pytest.mark.slow
@pytest.mark.parametrize(("layers", "checkpointing"), [(5, False), (8, True)])
def test_what_few_layers_take_is_continued_to_what_all_take(
    layers: int, checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = changed(
        recipe("tiny"), base={"layers": layers}, train_base={"activation_checkpointing": checkpointing},
    )  # fmt: skip
    described = inspect.unwrap(model_sizes._transformer)  # the fixture above would give what it gave before
    found = described(params.text, params.base, params.train_base)
    monkeypatch.setattr(planned_steps, "_FEWEST_LAYERS", layers)
    assert found == described(params.text, params.base, params.train_base)


def test_parts_of_an_autoencoder(tiny: dict[str, Any]) -> None:
    """The decoder's levels are numbered as the encoder's."""
    assert list(tiny["encoder"]["parts"]) == ["input", "level_1", "level_2", "level_3", "middle", "output"]
    assert list(tiny["decoder"]["parts"]) == ["input", "middle", "level_3", "level_2", "level_1", "output"]


@pytest.mark.slow
def test_checkpointing_and_precision_follow_the_training_section(tiny: dict[str, Any]) -> None:
    data = recipe_data("tiny")
    data["train_base"] |= {"activation_checkpointing": True}
    data["train_sr_2x"] |= {"precision": "bf16"}
    data["train_autoencoder"] |= {"activation_checkpointing": True}
    models = describe(parse_section(data, Params, "tiny"), "tiny", Path.cwd())["models"]
    for name in ("encoder", "decoder", "base"):
        assert models[name]["activation_checkpointing"] is True
        assert models[name]["activation_bytes"] < 0.7 * tiny[name]["activation_bytes"], name
        assert models[name]["flops"] == tiny[name]["flops"]
    assert models["sr_2x"]["precision"] == "bf16"
    assert models["sr_2x"]["activation_bytes"] == pytest.approx(tiny["sr_2x"]["activation_bytes"] / 2, rel=0.1)


def test_the_discriminator_is_there_where_one_is_configured() -> None:
    data = recipe_data("tiny")
    data["train_autoencoder"]["discriminator"] = None
    data["train_autoencoder"]["loss"] |= {"adversarial": 0.0, "lecam": 0.0, "r1": 0.0}
    models = describe(parse_section(data, Params, "tiny"), "tiny", Path.cwd())["models"]
    assert list(models) == ["encoder", "decoder", "text_encoder", *TRANSFORMER_NAMES]


@pytest.mark.slow
def test_a_hub_name_is_never_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*arguments: object, **keywords: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    model = describe(with_text_encoder("nobody/has-this-t5"), "tiny", tmp_path)["models"]["text_encoder"]
    assert (model["parameters"], model["flops"], model["parts"]) == (None, None, {})
    assert model["note"].startswith("'nobody/has-this-t5' is not on this machine")


@pytest.mark.slow
def test_a_local_folder_needs_its_configuration_alone(tmp_path: Path) -> None:
    architecture = T5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2)
    architecture.save_pretrained(tmp_path / "t5")
    assert not list(tmp_path.rglob("*.safetensors"))
    model = describe(with_text_encoder("./t5"), "tiny", tmp_path)["models"]["text_encoder"]
    assert model["parameters"] == T5EncoderModel(architecture).num_parameters() == sum(model["parts"].values())
    projections = 16 * (4 * 16 + 2 * 24)
    assert model["flops"] == 2 * 16 * projections + 2 * 2 * 16 * 16 * 16  # 16 tokens
    (tmp_path / "t5/config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigurationError, match=r"'./t5' is a bert model, not a T5"):
        describe(with_text_encoder("./t5"), "tiny", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe", "demmo"), "no recipe is named 'demmo'; did you mean 'demo'?"),
        (
            ("--recipe", "xyzzy"),
            "no recipe is named 'xyzzy'; there are demo, demo-uncaptioned, imagenet, kinetics600, t2v, tiny, ucf101",
        ),
        (("--recipe", "defaults"), "no recipe is named 'defaults'; there are demo, demo-uncaptioned, imagenet"),
        (("--recipe", "demo", "--params", "params.yaml"), "--recipe and --params both say what to describe; give one"),
        (("--params", "no-such.yaml"), "no-such.yaml: no such file"),
    ],
)
def test_a_wrong_request_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, ConfigurationError)
    assert str(result.exception).startswith(message)
    assert "\n" not in str(result.exception)


@pytest.mark.slow
def test_without_arguments_it_is_params_yaml_as_a_person_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"))
    monkeypatch.chdir(tmp_path)
    result = run()
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.output.splitlines()]
    assert max(map(len, lines)) <= 100
    for title in ("encoder", "decoder", "discriminator", "text_encoder", *TRANSFORMER_NAMES):
        assert sum(line.startswith(f"{title}  ") for line in lines) == 1, title
    assert sum("relative position bias" in line for line in lines) == 5  # T5 has one too
    assert sum("tokens per sample" in line for line in lines) == 5


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.000 K"),
        (144_864_400, "144.9 M"),
        (999_999_999, "1.000 B"),
        (3.091e9, "3.091 B"),
    ],
)
def test_numbers_have_four_digits(number: float, text: str) -> None:
    assert in_units(number, ("", "K", "M", "B")) == text


def test_bytes_go_by_1024() -> None:
    assert in_units(1536 * 2**20, ("B", "KiB", "MiB", "GiB"), 1024.0) == "1.500 GiB"
    assert in_units(1020 * 2**20, ("B", "KiB", "MiB", "GiB"), 1024.0) == "1020 MiB"


@pytest.mark.slow
def test_the_papers_sizes() -> None:
    """PAPER: encoder 144.9 M and 4.5 TFLOP, decoder 225.5 M and 6.2, discriminator about 61 M, 3 B and 1.3 B."""
    models = describe(load_recipe("t2v"), "t2v", Path.cwd())["models"]
    assert models["encoder"]["input_shape"] == [3, 17, 128, 128]
    assert models["encoder"]["parameters"] / 1e6 == pytest.approx(144.9, abs=0.05)
    assert models["decoder"]["parameters"] / 1e6 == pytest.approx(225.5, abs=0.05)
    assert models["encoder"]["flops"] / 1e12 == pytest.approx(4.5, abs=0.05)
    assert models["decoder"]["flops"] / 1e12 == pytest.approx(6.2, abs=0.05)
    assert models["discriminator"]["parameters"] / 1e6 == pytest.approx(61, abs=0.5)
    assert models["base"]["parameters"] / 1e9 == pytest.approx(3.09, abs=0.005)
    assert models["sr_2x"]["parameters"] / 1e9 == pytest.approx(1.35, abs=0.005)
    assert models["sr_4x"]["parameters"] / 1e6 == pytest.approx(419, rel=0.01)
    assert models["base"]["tokens"] == 5 * 16 * 16
    assert [models[name]["tokens"] for name in ("aspect", "sr_2x", "sr_4x")] == [5 * 16 * 28] * 3
    assert models["sr_4x"]["latent_shape"] == [8, 5, 64, 112]
