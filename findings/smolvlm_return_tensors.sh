#!/usr/bin/env bash
# SmolVLM's processor drops return_tensors where apply_chat_template takes what is for the processor.
#
# Guess:  apply_chat_template(..., processor_kwargs={"return_tensors": "pt"}) gives tensors, as with any processor: that is
#         where the processor's own arguments go.
# Truth:  SmolVLM's overrides it with return_tensors=None where the base class has "auto", and None takes the place of
#         what was given: lists of lists come back, silently, and generate() fails with "'list' has no attribute 'shape'".
#         return_tensors="pt" beside processor_kwargs works with both.
# Seen:   transformers 5.23.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchvision==0.28.0 transformers==5.23.0 num2words==0.5.14 pillow
HF_HUB_OFFLINE=1 venv/bin/python - <<'PY' 2>&1 | grep -v '^\[transformers\]'
import sys

import transformers
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    LlavaOnevisionImageProcessor, LlavaOnevisionProcessor, LlavaOnevisionVideoProcessor, PreTrainedTokenizerFast,
    SmolVLMImageProcessor, SmolVLMProcessor, SmolVLMVideoProcessor,
)

print("transformers", transformers.__version__)
special = ["<image>", "<video>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
words = Tokenizer(WordLevel({word: number for number, word in enumerate(["<pad>", *special, "hello"])}, unk_token="<pad>"))
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", additional_special_tokens=special)
template = "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<image>{% else %}hello{% endif %}{% endfor %}"
smol = SmolVLMProcessor(
    SmolVLMImageProcessor(do_image_splitting=False), tokenizer, SmolVLMVideoProcessor(), image_seq_len=4,
    chat_template=template,
)
other = LlavaOnevisionProcessor(
    LlavaOnevisionImageProcessor(), tokenizer, LlavaOnevisionVideoProcessor(), num_image_tokens=4,
    vision_feature_select_strategy="full", chat_template=template,
)
picture = Image.new("RGB", (64, 64))
message = [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": "hello"}]}]


def asked(processor, **options):
    found = processor.apply_chat_template([message], tokenize=True, return_dict=True, **options)
    return type(found["input_ids"]).__name__


seen = {
    "LLaVA-OneVision, in processor_kwargs": asked(other, processor_kwargs={"return_tensors": "pt"}),
    "SmolVLM, in processor_kwargs": asked(smol, processor_kwargs={"return_tensors": "pt"}),
    "SmolVLM, beside them": asked(smol, return_tensors="pt", processor_kwargs={"padding": True}),
}
for name, kind in seen.items():
    print(f"{name:40} {kind}")
if list(seen.values()) != ["Tensor", "list", "Tensor"]:
    sys.exit("CHANGED: return_tensors counts in the same way everywhere")
print("HOLDS: SmolVLM's processor drops return_tensors from processor_kwargs")
PY
