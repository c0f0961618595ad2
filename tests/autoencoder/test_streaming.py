"""Chunk by chunk is the whole clip: encoding, decoding, interleaved streams, and what a stream refuses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tests.support.autoencoders import KERNEL_4, PATCHED, VIDEO, drawn
from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.streaming import decode_stream, encode_stream
from walt.nn.causal import Stream

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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_chunks_are_the_whole_in_the_precisions_in_use(dtype: torch.dtype) -> None:
    """A kernel may sum in another order when the length is another; a rounding a layer is all that is allowed."""
    model, clip = drawn(VIDEO).to(dtype), video().to(dtype)
    with torch.no_grad():
        latents, _ = model.encode(clip)
    parts = torch.cat(list(encode_stream(model, clip.split([5, 4, 8], dim=2))), dim=2)
    torch.testing.assert_close(parts, latents, rtol=0, atol=40 * torch.finfo(dtype).eps * float(latents.abs().max()))


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
