"""How much moves in a clip, fine and coarse: differences of neighbouring frames in bands of spatial frequency.

No optical flow and no network. A set that stands still, flickers, or moves too smoothly is far from real clips here,
whatever its single frames look like. The direction of motion is not seen.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from walt.core.digests import sha256_json
from walt.evaluation.extractors import Extractor

BANDS = 4
"""Details of one, two and four pixels, and all that is larger."""
FLOOR = 1e-2
"""What is added to a band's strength before the logarithm: about one grey level of pixels in [-1, 1]."""


class Motion(Extractor):
    """Clips (B, 3, T, H, W) in [-1, 1] -> features (B, 4), of any form.

    Each is the mean over the pairs of neighbouring frames of the logarithm of the root mean square of their difference
    in one band, the finest first. A band is what is lost when the difference is averaged over 2 x 2 pixels; of what is
    left the next one is taken. A picture does not move: it has the features of a video that stands still.
    """

    num_features = BANDS
    digest = sha256_json(["frame differences", BANDS, FLOOR])

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, 4)."""
        change = clips.diff(dim=2) if clips.shape[2] > 1 else torch.zeros_like(clips)  # (B, 3, T - 1, H, W)
        bands = []
        for _ in range(BANDS - 1):
            height, width = (min(side, 2) for side in change.shape[3:])
            coarse = F.avg_pool3d(change, (1, height, width), ceil_mode=True)  # at odd sides' ends of what there is
            bands.append(change - F.interpolate(coarse, change.shape[2:], mode="nearest"))
            change = coarse
        return torch.stack([_log_strength(band) for band in (*bands, change)], dim=1)


def _log_strength(band: Tensor) -> Tensor:
    """(B, 3, T, H, W) -> (B,)."""
    return (band.square().mean((1, 3, 4)).sqrt() + FLOOR).log().mean(1)
