"""The text encoder: the tiny one that is built offline, and checkpoints from folders."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration

from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.text.config import TinyT5Config
from walt.text.encoder import TextEncoder, load_text_encoder, open_text_encoder
from walt.text.tiny import build_tiny_encoder, unigram_vocabulary

COLOURS = ("red", "green", "blue", "yellow")
DIRECTIONS = ("left", "right", "up", "down")
CAPTIONS = [f"a {c} circle moving {d}" for c, d in itertools.product(COLOURS, DIRECTIONS)]
TINY = TinyT5Config(width=64, layers=2, heads=4, vocabulary=256, frozen=None)


def make_tiny(
    folder: Path,
    captions: list[str] = CAPTIONS,
    config: TinyT5Config = TINY,
    seed: int = 0,
) -> TextEncoder:
    build_tiny_encoder(captions, config, seed, folder)
    encoder = open_text_encoder("tiny", 16, "cpu", folder)
    encoder.describe(folder)
    return encoder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def test_each_known_word_is_one_token(tiny: TextEncoder) -> None:
    assert tiny.tokens("a red circle moving left") == [
        "▁a",
        "▁red",
        "▁circle",
        "▁moving",
        "▁left",
    ]
    _, mask = tiny.encode(["a red circle moving left", ""])
    assert mask.sum(1).tolist() == [6, 1]  # words and the end mark; the end mark alone


def test_unknown_words_are_spelled(tiny: TextEncoder) -> None:
    pieces = tiny.tokens("a regrid")
    assert pieces[0] == "▁a"
    assert "".join(pieces[1:]) == "▁regrid"
    assert len(pieces) > 2


def test_what_the_vocabulary_lacks_is_named(tiny: TextEncoder) -> None:
    known, several, joined = tiny.readings(["a red circle", "a 圆 and круг, “red”", "一只猫</s>"])
    assert known.unknown == ()
    assert several.unknown == ("圆", "круг,", "“", "”"), "neighbours are one token"
    assert joined.unknown[0].startswith("一只猫"), "and a mark in the text is text"


def test_shapes_and_scale(tiny: TextEncoder) -> None:
    embeddings, mask = tiny.encode(CAPTIONS)
    assert embeddings.shape == (16, 16, 64)
    assert embeddings.dtype == torch.float32
    assert mask.shape == (16, 16)
    assert mask.dtype == torch.bool
    assert 0.8 < embeddings[mask].std() < 1.2
    assert (embeddings[~mask] == 0).all()


def test_word_identity_survives(tiny: TextEncoder) -> None:
    """The token of a colour is far from that of another colour, and near to itself in another caption."""
    embeddings, _ = tiny.encode(
        [f"a {colour} circle moving {direction}" for colour in COLOURS for direction in DIRECTIONS]
    )
    colours = torch.nn.functional.normalize(embeddings[:, 1], dim=-1)  # token 1 is the colour
    same = torch.arange(16)[:, None] // 4 == torch.arange(16) // 4
    similarity = colours @ colours.T
    assert similarity[same].min() > 0.8
    assert similarity[~same].max() < 0.5


def test_long_captions_are_cut(tiny: TextEncoder) -> None:
    embeddings, mask = tiny.encode(["red " * 1000])
    assert mask.all()
    assert embeddings.isfinite().all()


def test_an_embedding_depends_on_its_caption_alone(tiny: TextEncoder) -> None:
    forward, _ = tiny.encode(CAPTIONS)
    backward, _ = tiny.encode(CAPTIONS[::-1])
    assert torch.equal(forward, backward.flip(0))


LINES = [" ".join([*(["a", "red", "circle"] * 9)[:count], word]) for count in range(18) for word in CAPTIONS[0].split()]


def test_each_is_encoded_as_together_but_without_padding(tiny: TextEncoder) -> None:
    together, mask = tiny.encode(LINES)
    for own, expected, counts in zip(tiny.encode_each(LINES), together, mask, strict=True):
        assert own.shape == (counts.sum(), tiny.width)
        assert torch.allclose(own, expected[counts], atol=1e-5)
    assert tiny.encode_each([]) == []


@pytest.mark.slow
def test_the_bits_of_a_caption_do_not_depend_on_the_others(tmp_path: Path) -> None:
    """In fp32, where another padding gives other last bits."""
    build_tiny_encoder(LINES, TINY, 0, tmp_path)
    encoder = open_text_encoder("tiny", 77, "cpu", tmp_path)
    together = encoder.encode_each(LINES)
    for size in (1, 7):
        parts = (LINES[first : first + size] for first in range(0, len(LINES), size))
        assert all(map(torch.equal, (own for part in parts for own in encoder.encode_each(part)), together))
    assert all(map(torch.equal, encoder.encode_each(LINES[::-1])[::-1], together))
    padded, mask = encoder.encode(LINES)
    assert not all(torch.equal(own, other[counts]) for own, other, counts in zip(together, padded, mask, strict=True))


def test_same_captions_same_bytes(tmp_path: Path) -> None:
    def digests(name: str, captions: list[str], seed: int) -> dict[str, str]:
        build_tiny_encoder(captions, TINY, seed, tmp_path / name)
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / name / "t5").iterdir()}

    first = digests("first", CAPTIONS, 0)
    assert set(first) == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert digests("second", CAPTIONS[::-1], 0) == first  # the order of the captions does not matter
    assert digests("third", CAPTIONS, 1)["model.safetensors"] != first["model.safetensors"]


def test_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_tiny_encoder(CAPTIONS, TINY, 0, tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_vocabulary_limit() -> None:
    vocabulary = unigram_vocabulary(["aa bb cc dd ee ff", "aa bb aa"], 11)
    pieces = [piece for piece, _ in vocabulary]
    assert len(pieces) == len(set(pieces)) == 11
    assert pieces[:5] == ["<pad>", "</s>", "<unk>", "▁aa", "▁bb"]


def test_loading_checks_the_digest(tmp_path: Path) -> None:
    made = make_tiny(tmp_path)
    loaded = load_text_encoder(tmp_path, "cpu")
    assert loaded.digest == made.digest
    assert loaded.width == 64
    assert loaded.max_tokens == 16
    assert torch.equal(loaded.encode(CAPTIONS)[0], made.encode(CAPTIONS)[0])

    flip_last_bit(tmp_path / "t5/model.safetensors")
    with pytest.raises(CorruptArtifactError, match=r"model\.safetensors: it is not the file that"):
        load_text_encoder(tmp_path, "cpu")


def flip_last_bit(weights: Path) -> None:
    """Of the last float32 weight in a file."""
    data = bytearray(weights.read_bytes())
    data[-4] ^= 1
    weights.write_bytes(data)


@pytest.mark.parametrize(
    ("file", "message"),
    [("model.safetensors", "the encoder .* is not the one"), ("config.json", r"config\.json: it is not the file that")],
)
def test_a_given_encoder_that_was_changed_is_not_taken(tmp_path: Path, file: str, message: str) -> None:
    """Of a large one the weights are not hashed twice: they have the encoder's digest."""
    make_tiny(tmp_path)
    given = (tmp_path / "t5").rename(tmp_path / "given")
    open_text_encoder(str(given), 16, "cpu", tmp_path).describe(tmp_path)
    assert load_text_encoder(tmp_path, "cpu").width == 64
    if file == "config.json":
        config = (given / file).read_text()
        (given / file).write_text(config.replace('"layer_norm_epsilon": 1e-06', '"layer_norm_epsilon": 1e-05'))
        assert (given / file).read_text() != config
    else:
        flip_last_bit(given / file)
    with pytest.raises(CorruptArtifactError, match=message):
        load_text_encoder(tmp_path, "cpu")


def test_missing_encoder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"encoder\.json"):
        load_text_encoder(tmp_path, "cpu")


@pytest.fixture(scope="module")
def t5_folders(tmp_path_factory: pytest.TempPathFactory, tiny: TextEncoder) -> tuple[Path, Path]:
    """The same encoder as an encoder-only checkpoint and inside an encoder-decoder checkpoint."""
    folder = tmp_path_factory.mktemp("t5")
    config = T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
    full = T5ForConditionalGeneration(config)
    encoder = T5EncoderModel(config)
    encoder.load_state_dict({k: v for k, v in full.state_dict().items() if k.startswith(("encoder", "shared"))})
    full.save_pretrained(folder / "full")
    encoder.save_pretrained(folder / "encoder")
    for name in ("full", "encoder"):
        tiny._tokenizer.save_pretrained(folder / name)
    return folder / "full", folder / "encoder"


def test_full_and_encoder_only_checkpoints_agree(t5_folders: tuple[Path, Path]) -> None:
    full, encoder_only = t5_folders
    first = open_text_encoder(full.name, 8, "cpu", ".", root=full.parent)  # relative to the root
    second = open_text_encoder(str(encoder_only), 8, "cpu", ".")
    assert first.width == 32
    assert first.digest == second.digest
    assert torch.equal(first.encode(CAPTIONS)[0], second.encode(CAPTIONS)[0])


def test_pickled_weights_are_refused(tmp_path: Path, t5_folders: tuple[Path, Path]) -> None:
    for file in t5_folders[1].iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(t5_folders[1] / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match="safetensors"):
        open_text_encoder(str(tmp_path), 8, "cpu", ".")


def test_missing_weights_are_no_random_weights(tmp_path: Path, t5_folders: tuple[Path, Path]) -> None:
    for file in t5_folders[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.final_layer_norm.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CorruptArtifactError, match=r"final_layer_norm"):
        open_text_encoder(str(tmp_path), 8, "cpu", ".")


@pytest.mark.parametrize("source", ["./absent", "/absent/t5", "a/b/c"])
def test_missing_folder(source: str) -> None:
    with pytest.raises(ConfigurationError, match="no folder"):
        open_text_encoder(source, 8, "cpu", ".")


def test_another_kind_of_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigurationError, match="bert"):
        open_text_encoder(str(tmp_path), 8, "cpu", ".")
