#!/usr/bin/env bash
# A LoRA that diffusers saves and loads again is weaker than the one that was trained.
#
# Guess:  save_lora_weights(folder, get_peft_model_state_dict(model)) and load_lora_weights give back the adapter: the output is
#         that of the trained model.
# Truth:  the file holds A and B and not lora_alpha; it is loaded with alpha equal to the rank. One that was trained with rank
#         4 and alpha 16 acts at a quarter of its strength, one with alpha 1 at four times, without a warning. The
#         argument for it, transformer_lora_adapter_metadata, is optional; PEFT's own save_pretrained keeps alpha.
# Seen:   diffusers 0.42.1, peft 0.21.2, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 diffusers==0.42.1 peft==0.21.2 transformers==5.23.0
HF_HUB_OFFLINE=1 venv/bin/python - 2> warnings.txt <<'PY' || { tail -n 3 warnings.txt; exit 1; }
import sys
import warnings

import diffusers
import peft
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

print("diffusers", diffusers.__version__, "peft", peft.__version__, "torch", torch.__version__)


def transformer():
    torch.manual_seed(0)
    return WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=8, freq_dim=16,
        ffn_dim=16, num_layers=1, cross_attn_norm=True, qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
    ).eval()


@torch.no_grad()
def output(model):
    noise = torch.Generator().manual_seed(1)
    video, text = torch.randn(1, 4, 2, 4, 4, generator=noise), torch.randn(1, 3, 8, generator=noise)
    return model(hidden_states=video, timestep=torch.tensor([5]), encoder_hidden_states=text).sample


def pipeline(model):
    return WanPipeline(tokenizer=None, text_encoder=None, transformer=model, vae=None, scheduler=FlowMatchEulerDiscreteScheduler())


plain = output(transformer())
seen = {}
for alpha in (1, 4, 16):
    trained = transformer()
    config = LoraConfig(r=4, lora_alpha=alpha, target_modules=["to_q", "to_v"], init_lora_weights=False)
    trained.add_adapter(config)
    weights = get_peft_model_state_dict(trained)
    WanPipeline.save_lora_weights(f"lora{alpha}", transformer_lora_layers=weights)
    WanPipeline.save_lora_weights(
        f"said{alpha}", transformer_lora_layers=weights, transformer_lora_adapter_metadata=config.to_dict()
    )
    loaded = {}
    for name in ("lora", "said"):
        again = pipeline(transformer())
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            again.load_lora_weights(f"{name}{alpha}")
        loaded[name] = output(again.transformer)
    change = {"trained": output(trained), **loaded}
    seen[alpha] = {name: float((value - plain).abs().mean()) for name, value in change.items()}
    seen[alpha]["same"] = torch.allclose(change["trained"], change["lora"], atol=1e-5)
    seen[alpha]["said same"] = torch.allclose(change["trained"], change["said"], atol=1e-5)
    print(f"rank 4, alpha {alpha:2}: change of the output", {k: round(v, 4) if isinstance(v, float) else v for k, v in seen[alpha].items()})
if not seen[4]["same"] or not all(found["said same"] for found in seen.values()):
    sys.exit("CHANGED: what it is compared with does not hold")
if seen[16]["same"] or seen[1]["same"]:
    sys.exit("CHANGED: alpha is kept")
if seen[16]["trained"] < 1.5 * seen[16]["lora"] or seen[1]["lora"] < 1.5 * seen[1]["trained"]:
    sys.exit("CHANGED: it is not weaker")
print("HOLDS: alpha is lost")
PY
