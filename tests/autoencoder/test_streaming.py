"""Chunk by chunk is the whole clip: encoding, decoding, interleaved streams, and what a stream refuses."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.autoencoders import KERNEL_4, PATCHED, VIDEO, drawn
from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.streaming import (
    clips_at_once,
    decode_stream,
    decode_within,
    encode_stream,
    encode_within,
    frames_at_once,
)
from walt.nn.causal import CausalConv3d, Stream, use_channels_last

PLANS = [[1, 4, 4, 4, 4], [5, 4, 8], [9, 8], [1, 16], [13, 4], [17]]


def video(frames: int = 17, seed: int = 1) -> Tensor:
    shape = (2, 3, frames, 16, 24)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("config", [VIDEO, KERNEL_4, PATCHED], ids=["kernel 3", "kernel 4", "patch 2"])
def test_chunks_are_the_whole(config: AutoencoderConfig, plan: Sequence[int]) -> None:
    model, clip = drawn(config).double(), video()
    with torch.no_grad():
        latents, _ = model.encode(clip)
        decoded = model.decode(latents)
    parts = list(encode_stream(model, clip.split(list(plan), dim=2)))
    assert [part.shape[2] for part in parts] == [1 + (plan[0] - 1) // 4, *(frames // 4 for frames in plan[1:])]
    torch.testing.assert_close(torch.cat(parts, dim=2), latents, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.cat(list(decode_stream(model, parts)), dim=2), decoded, rtol=0, atol=1e-12)


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("precision", "threads"), [("fp32", 1), ("fp32", 2), ("bf16", 1), ("bf16", 3)], indirect=["threads"]
)
@pytest.mark.parametrize(
    "config", [pytest.param(VIDEO, id="patch 1", marks=pytest.mark.slow), pytest.param(PATCHED, id="patch 2")]
)
def test_chunks_are_the_whole_bit_for_bit(config: AutoencoderConfig, precision: str, threads: int) -> None:
    """On a processor: 17 frames in pieces, in any, and a clip alone or beside another.

    At 64x64, so that frames are large enough for the kernels that cut them by threads.
    """
    model = in_use(config)
    clip = torch.rand((2, 3, 17, 64, 64), generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        with torch.no_grad():
            latents, _ = model.encode(clip)
            decoded = model.decode(latents.float())
            alone, _ = model.encode(clip[1:])
            made_alone = model.decode(latents[1:].float())
        assert torch.equal(alone, latents[1:])
        assert torch.equal(made_alone, decoded[1:])
        for plan in PLANS:
            assert torch.equal(torch.cat(list(encode_stream(model, clip.split(plan, dim=2))), dim=2), latents), plan
        for plan in ([1] * 5, [2, 2, 1], [1, 4], [3, 2]):
            pieces = list(decode_stream(model, latents.float().split(plan, dim=2)))
            assert [piece.shape[2] for piece in pieces] == [4 * plan[0] - 3, *(4 * frames for frames in plan[1:])]
            assert torch.equal(torch.cat(pieces, dim=2), decoded), plan


def in_use(config: AutoencoderConfig) -> CausalAutoencoder:
    """A drawn model in the layout in which they are loaded."""
    model = drawn(config)
    use_channels_last(model)
    return model


def test_bits_in_bf16_do_not_depend_on_the_number_of_threads() -> None:
    model, clip = in_use(VIDEO), torch.rand((1, 3, 5, 64, 64), generator=torch.Generator().manual_seed(1))
    before, found = torch.get_num_threads(), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            found.append(model.decode(model.encode(clip)[0].float()))
    torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_where_onednn_chooses_by_size_a_rounding_is_all_that_differs() -> None:
    """In fp32, 128 to 64 channels at 16x16: another number of output channels at a time for one frame than for eight
    (oneDNN in torch 2.13; with three threads there are more such sizes than with one or two)."""
    layer = CausalConv3d(128, 64, (3, 3, 3), bias=False)
    x = torch.randn((1, 128, 8, 16, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = layer(x)
        first = layer(x[:, :, :1], Stream(layer))
    torch.testing.assert_close(first, whole[:, :, :1], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("megapixels", "encoded", "decoded"),
    [
        (math.inf, [17], [5]),
        (2 * 17 * 256e-6, [17], [5]),
        (2 * 8 * 256e-6, [9, 8], [3, 2]),
        (1e-9, [5, 4, 4, 4], [2, 1, 1, 1]),
    ],
)
def test_as_much_is_computed_at_once_as_is_allowed(
    megapixels: float, encoded: list[int], decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clips of 17 frames of 16x16; at least f_t frames after the first."""
    model, clip = in_use(VIDEO), torch.rand((2, 3, 17, 16, 16), generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        latents = model.encode(clip)[0]
        video = model.decode(latents)
    seen: list[int] = []
    for kind in (type(model.encoder), type(model.decoder)):
        plain: Any = kind.forward

        def noted(self: Any, x: Tensor, stream: Any = None, _plain: Any = plain) -> Tensor:
            seen.append(x.shape[2])
            return _plain(self, x, stream)

        monkeypatch.setattr(kind, "forward", noted)
    assert torch.equal(encode_within(model, clip, megapixels), latents)
    assert seen == encoded
    assert torch.equal(torch.cat(list(decode_within(model, latents, megapixels)), dim=2), video)
    assert seen[len(encoded) :] == decoded


def test_how_many_go_together() -> None:
    assert clips_at_once(17, (128, 128), 2.0) == 7
    assert clips_at_once(17, (512, 896), 2.0) == 1
    assert clips_at_once(1, (32, 32), math.inf) >= 10**9
    assert [frames_at_once(VIDEO, (512, 896), megapixels) for megapixels in (1.0, 2.0, 4.0)] == [4, 4, 8]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_of_decoding_in_pieces_does_not_grow_with_the_frames() -> None:
    """Of a process of its own, since a peak never falls: 17 frames, 65 frames, 65 frames at once. Not by ``ru_maxrss``,
    which a process begins with its parent's."""
    script = """
import re, torch
from pathlib import Path
from tests.support.autoencoders import PATCHED, drawn
from walt.autoencoder.streaming import decode_within
torch.set_num_threads(1)
model = drawn(PATCHED)
def decode(latent_frames, megapixels):
    for _ in decode_within(model, torch.zeros(1, 3, latent_frames, 24, 24), megapixels):
        pass
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(decode(2, 1e-9), decode(5, 1e-9), decode(17, 1e-9), decode(17, 1e9))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    _, few, many, at_once = (int(word) / 1024 for word in done.stdout.split())  # MiB
    assert many - few < 10
    assert at_once - many > 40, "so that what did not grow was worth measuring"


def test_interleaved_streams_do_not_disturb_each_other() -> None:
    model = drawn(VIDEO).double()
    one, other = video(seed=1), video(seed=2)
    with torch.no_grad():
        expected = [model.encode(clip)[0] for clip in (one, other)]
    streams = [encode_stream(model, one.split([5, 4, 8], dim=2)), encode_stream(model, other.split([1, 8, 8], dim=2))]
    parts: list[list[Tensor]] = [[], []]
    for number in (0, 1, 1, 0, 0, 1):
        parts[number].append(next(streams[number]))
    for found, whole in zip(parts, expected, strict=True):
        torch.testing.assert_close(torch.cat(found, dim=2), whole, rtol=0, atol=1e-12)


def test_nothing_is_kept_on_the_model_and_the_caches_do_not_grow() -> None:
    model = drawn(VIDEO).double()
    before = {name: set(vars(module)) for name, module in model.named_modules()}
    stream = Stream(model.encoder)
    sizes = []
    for chunk in video(33).split([1, 4, 4, 8, 16], dim=2):
        with torch.no_grad():
            model.encode(chunk, stream)
        sizes.append(sum(frames.untyped_storage().nbytes() for frames in stream.frames.values()))
    assert len(set(sizes)) == 1
    assert set(stream.frames) <= {name for name, _ in model.encoder.named_modules()}
    assert {name: set(vars(module)) for name, module in model.named_modules()} == before


@pytest.mark.parametrize(("first", "second"), [(4, 4), (5, 5), (1, 1), (5, 3)])
def test_chunks_of_other_lengths_are_refused(first: int, second: int) -> None:
    model = drawn(VIDEO).double()
    with pytest.raises(ValueError, match=r"chunk of a video must have (1 \+ )?4k frames"):
        list(encode_stream(model, video(first + second).split([first, second], dim=2)))


def test_a_stream_serves_the_model_it_was_made_for() -> None:
    model = drawn(VIDEO).double()
    with pytest.raises(KeyError), torch.no_grad():
        model.decode(torch.zeros(1, 3, 2, 2, 2, dtype=torch.float64), Stream(model.encoder))


def test_a_2d_network_streams_any_plan() -> None:
    image = VIDEO.model_copy(update={"dimensions": 2, "temporal_downsample": (False, False, False)})
    model, clip = drawn(image).double(), video(6)
    with torch.no_grad():
        latents, _ = model.encode(clip)
    assert latents.shape[2] == 6
    parts = torch.cat(list(encode_stream(model, clip.split([1, 2, 3], dim=2))), dim=2)
    torch.testing.assert_close(parts, latents, rtol=0, atol=1e-12)
