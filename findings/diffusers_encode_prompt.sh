#!/usr/bin/env bash
# WanPipeline.encode_prompt cuts prompts at 226 tokens, and the pipeline itself takes 512.
#
# Guess:  embeddings that encode_prompt computes beforehand, for training or to save memory, are those that the pipeline computes of the
#         same prompt.
# Truth:  max_sequence_length is 226 by default in encode_prompt and 512 in __call__: the end of a long caption is lost, and that of
#         every short one has 226 rows in place of 512, of which the zeros are attended to. The video is another one for short prompts,
#         too. So in the pipelines of Wan and SkyReels-V2.
# Seen:   diffusers 0.42.1, transformers 5.23.0, torch 2.13.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 diffusers==0.42.1 transformers==5.23.0 ftfy==6.3.1 numpy==2.4.6
HF_HUB_OFFLINE=1 venv/bin/python - 2> messages.txt <<'PY' || { tail -n 3 messages.txt; exit 1; }
import inspect
import sys

import diffusers
import torch
import transformers
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

print("diffusers", diffusers.__version__, "transformers", transformers.__version__, "torch", torch.__version__)
torch.set_num_threads(1)
torch.manual_seed(0)
words = "a cat runs over the red street".split()
pieces = ["<pad>", "</s>", "<unk>", "▁", *(f"▁{word}" for word in words)]
tokenizer = T5Tokenizer(vocab=[(piece, -float(place)) for place, piece in enumerate(pieces)], extra_ids=0)
encoder = UMT5EncoderModel(UMT5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)).eval()
transformer = WanTransformer3DModel(
    patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16, text_dim=16, freq_dim=16,
    ffn_dim=16, num_layers=2, cross_attn_norm=True, qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
).eval()
autoencoder = AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True])
pipe = WanPipeline(tokenizer, encoder, autoencoder, FlowMatchEulerDiscreteScheduler(), transformer=transformer)
pipe.set_progress_bar_config(disable=True)
latents = torch.randn(1, 16, 2, 4, 4)


def video(**prompt):
    return pipe(
        **prompt, latents=latents.clone(), height=32, width=32, num_frames=5, num_inference_steps=1, guidance_scale=1.0, output_type="latent"
    ).frames


@torch.no_grad()
def change(count, **length):
    """How much the latents differ between a prompt of so many words and its embeddings from encode_prompt."""
    prompt = " ".join(words[place % 3 if place < 226 else 6] for place in range(count))
    tokens = len(tokenizer(prompt).input_ids)
    embeds = pipe.encode_prompt(prompt, do_classifier_free_guidance=False, **length)[0]
    whole = video(prompt=prompt)
    return tokens, tuple(embeds.shape[1:]), float((video(prompt_embeds=embeds) - whole).abs().max() / whole.std())


seen = {(count, name): change(count, **length) for count in (5, 400) for name, length in (("default", {}), ("512", {"max_sequence_length": 512}))}
for (count, name), (tokens, shape, difference) in seen.items():
    print(f"prompt of {tokens} tokens, length {name:8} embeddings {shape}, latents differ by {difference:.5f} of their spread")
lengths = {
    name: [inspect.signature(function).parameters["max_sequence_length"].default for function in (kind.encode_prompt, kind.__call__)]
    for name, kind in ((name, getattr(diffusers, name)) for name in ("WanPipeline", "SkyReelsV2Pipeline", "CogVideoXPipeline", "LTXPipeline"))
}
print("encode_prompt and __call__:", lengths)
if any(seen[count, "512"][2] > 1e-6 for count in (5, 400)):
    sys.exit("CHANGED: what it is compared with does not hold")
if any(seen[count, "default"][1][0] != 226 or seen[count, "default"][2] < 1e-5 for count in (5, 400)):
    sys.exit(f"CHANGED: the embeddings are the same: {seen}")
print("HOLDS: 226 tokens of encode_prompt, 512 of the pipeline")
PY
