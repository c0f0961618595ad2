"""A video network with fixed random weights: features of what is to be seen and how it moves, without a learned model.

Convolutions with random kernels keep much of what learned ones would see, edges, textures and how they change from
frame to frame, though not what they mean; Naeem et al. (arXiv 2002.09797, section 4.3) compare generated pictures by a
network without training. Numbers of this one cannot be compared with an FVD.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walt.core.digests import sha256_json
from walt.evaluation.extractors import Extractor
from walt.nn.causal import frames_alone, frames_together
from walt.nn.convolution import convolve_padded

_SEED = 0
_LEVELS = ((8, 1), (8, 3), (8, 3))
"""Channels, and frames that a kernel spans. Each level's picture has half the sides of the one before."""
_FIELDS = (2, 2, 2)
"""Spans of time, rows and columns over which colours are averaged."""
_FLOOR = 1e-2
"""What is added to a channel's strength before the logarithm: about one grey level of pixels in [-1, 1]."""
_NUM_FEATURES = 3 * _FIELDS[0] * _FIELDS[1] * _FIELDS[2] + 2 * sum(channels for channels, _ in _LEVELS)


class RandomNetwork(Extractor):
    """Clips (B, 3, T, H, W) in [-1, 1] -> features (B, 72); T of 1 or more, H and W of 4 or more.

    24 features are mean colours of the two halves in time and four quarters of the picture. The other 48 are of three
    levels of convolutions, absolute values and pooling, with 8 channels each: the logarithm of a channel's root mean
    square over the picture, and that of its change from one frame to the next, both averaged over the frames. Their
    logarithms make a frame that is repeated, noise and blur count as much as what is large. A picture has no motion:
    its changes are those of a video that stands still. All is channels-last in memory, and the convolutions are
    oneDNN's: of one small clip torch would take a kernel of its own, which is three times as slow.
    """

    num_features = _NUM_FEATURES

    def __init__(self) -> None:
        super().__init__()
        numbers = np.random.RandomState(_SEED)  # the legacy generator: its numbers are the same in every version
        inputs = (3, *(channels for channels, _ in _LEVELS))
        kernels = [_kernel(numbers, channels, inputs[level], span) for level, (channels, span) in enumerate(_LEVELS)]
        self.kernels = nn.ParameterList(nn.Parameter(kernel, requires_grad=False) for kernel in kernels)
        self.digest = sha256_json([kernel.tolist() for kernel in kernels])

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, 72)."""
        features = [F.adaptive_avg_pool3d(clips, _FIELDS).flatten(1)]
        found = clips
        for level, kernel in enumerate(self.kernels):
            if level:
                halved = F.avg_pool2d(frames_alone(found.abs()), 2)
                found = frames_together(halved, len(clips), clips.shape[2])
            span = kernel.shape[2] // 2  # 0 or 1 frame, which is repeated behind too
            found = torch.cat([found, found[:, :, -1:]], dim=2) if span else found
            found = convolve_padded(found, (span, 1, 1, 1, 1), kernel, None, (1, 1, 1))
            change = found.diff(dim=2) if found.shape[2] > 1 else torch.zeros_like(found)
            features += [_log_strength(found), _log_strength(change)]
        return torch.cat(features, dim=1)


def _log_strength(found: Tensor) -> Tensor:
    """(B, C, T, H, W) -> (B, C): the mean over the frames of the logarithm of each one's root mean square."""
    places = found.permute(0, 2, 3, 4, 1).flatten(2, 3)  # (B, T, H W, C): as they lie in memory, which is much faster
    return (places.square().mean(2).sqrt() + _FLOOR).log().mean(1)


def _kernel(numbers: np.random.RandomState, outputs: int, inputs: int, span: int) -> Tensor:
    """(outputs, inputs, span, 3, 3), each output's of length 1, and for each input of sum 0: it sees no plain area."""
    kernel = numbers.standard_normal((outputs, inputs, span, 3, 3))
    kernel -= kernel.mean((2, 3, 4), keepdims=True)
    kernel /= np.sqrt((kernel**2).sum((1, 2, 3, 4), keepdims=True))
    return torch.from_numpy(kernel.astype(np.float32))
