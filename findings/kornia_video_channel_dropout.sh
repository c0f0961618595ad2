#!/usr/bin/env bash
# kornia's RandomChannelDropout drops a channel of the first frames of a video only.
#
# Guess:  VideoSequential(RandomChannelDropout(p=1), same_on_frame=True) drops one channel in all frames of a video, another one in
#         the next video, as RandomErasing and RandomAffine there have one draw for a video.
# Truth:  the numbers of the videos are taken for numbers of frames: of two videos of 6 frames the first two frames of the first
#         one lose a channel, ten frames and the whole second video are as they were. The clip blinks, without a word.
#         Of pictures, also with same_on_batch, each loses one.
# Seen:   kornia 0.9.0, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet kornia==0.9.0 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import warnings

import kornia
import kornia.augmentation as augmentation
import torch

print("kornia", kornia.__version__, "torch", torch.__version__)
warnings.simplefilter("error")
videos = 0.5 + 0.5 * torch.rand(2, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).expand(2, 6, 3, 16, 16)  # (B, T, C, H, W)


def augmented(one):
    torch.manual_seed(1)
    return augmentation.VideoSequential(one, data_format="BTCHW", same_on_frame=True)(videos.clone())


def dropped(pictures):
    """Of each picture of (N, C, H, W), how many channels are black."""
    return (pictures.flatten(2).abs().sum(dim=-1) == 0).sum(dim=-1).tolist()


pictures = {same: dropped(augmentation.RandomChannelDropout(p=1.0, same_on_batch=same)(videos[0].clone())) for same in (False, True)}
erased = augmented(augmentation.RandomErasing(p=1.0))
moved = augmented(augmentation.RandomAffine(30.0, p=1.0))
video = dropped(augmented(augmentation.RandomChannelDropout(p=1.0)).flatten(0, 1))
print("black channels of six pictures:", pictures)
print("black channels of the frames of two videos:", video[:6], video[6:])
steady = all(torch.allclose(found, found[:, :1].expand_as(found), atol=1e-6) and not torch.allclose(found, videos) for found in (erased, moved))
if any(found != [1] * 6 for found in pictures.values()) or not steady:
    sys.exit("CHANGED: what it is compared with does not hold")
if video != [1, 1] + [0] * 10:
    sys.exit("CHANGED: other frames lose a channel")
print("HOLDS: two of twelve frames lost a channel")
PY
