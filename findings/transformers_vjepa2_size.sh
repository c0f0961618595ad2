#!/usr/bin/env bash
# V-JEPA 2 of transformers takes clips of any size, but places their patches as if they had the configured one.
#
# Guess:  its positions are rotary and it has no table of them: clips of another size than crop_size get their own
#         positions, or are refused, as VideoMAE refuses them.
# Truth:  rows, columns and frames are counted by config.crop_size. Of a clip of twice the sides each frame counts as
#         four, with other features, silently. A last frame that is no whole tubelet (17 frames, of pairs) and rows that
#         are no whole patch are dropped, silently too. With the same weights and config.crop_size set to the clip's
#         size, positions are right.
# Seen:   transformers 5.23.0, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 transformers==5.23.0
venv/bin/python -W ignore - <<'PY'
import sys

import torch
import transformers
from transformers import VJEPA2Config, VJEPA2Model

print("torch", torch.__version__, "transformers", transformers.__version__)


def model(crop_size):
    torch.manual_seed(0)
    config = VJEPA2Config(
        patch_size=8, crop_size=crop_size, frames_per_clip=8, tubelet_size=2, hidden_size=48, num_attention_heads=2,
        num_hidden_layers=2, pred_hidden_size=48, pred_num_attention_heads=2, pred_num_hidden_layers=1,
        pred_num_mask_tokens=1, initializer_range=0.3,
    )
    return VJEPA2Model(config).eval()


@torch.no_grad()
def features(of, clip):
    return of(clip, skip_predictor=True).last_hidden_state


made_for_32, made_for_64 = model(32), model(64)
pairs = zip(made_for_32.state_dict().values(), made_for_64.state_dict().values(), strict=True)
assert all(torch.equal(one, other) for one, other in pairs), "the same weights"
clip = torch.randn(1, 8, 3, 64, 64)  # 4 tubelets of 8 x 8 patches
found, right = features(made_for_32, clip), features(made_for_64, clip)
apart = float((found - right).abs().mean() / right.abs().mean())
frames = [int(of.encoder.layer[0].attention.get_position_ids(right)[0].max()) + 1 for of in (made_for_32, made_for_64)]
print(f"tubelets in time: {frames[0]} by crop_size 32, {frames[1]} by 64; features apart by {100 * apart:.0f} %")
odd = torch.randn(1, 9, 3, 32, 32)
other = odd.clone()
other[:, 8] = 5.0
dropped = torch.equal(features(made_for_32, odd), features(made_for_32, other))
print("the ninth frame counts for nothing:", dropped)
if frames != [16, 4] or apart < 0.01:
    sys.exit("CHANGED: positions are those of the clip")
if not dropped:
    sys.exit("CHANGED: a last frame without a partner is seen")
print("HOLDS: the same weights give other features of a clip, by the crop_size that the configuration names")
PY
