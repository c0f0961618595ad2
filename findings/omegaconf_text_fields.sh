#!/usr/bin/env bash
# A field of OmegaConf declared as text does not keep the text of the file or of the command line.
#
# Guess:  with a structured configuration (`version: str`) the value 010, 1.10 or 16:9 arrives as it is written, or is
#         refused, as 3.7 is for an int.
# Truth:  it is read as YAML first and what that makes of it is turned into text: 010 is "8", 1.10 is "1.1", 16:9 is "969",
#         12:30:45 is "45045", the commit 7e12345 is "inf" and 1_000 is "1000"; yes is "True". Each passes the type's check.
#         From the command line (from_dotlist, from_cli) quotes are needed inside the shell's. pydantic and jsonargparse
#         refuse a number for text.
# Seen:   omegaconf 2.3.1, pydantic 2.14.3
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet omegaconf==2.3.1 pydantic==2.14.3
venv/bin/python - <<'PY'
import sys
from dataclasses import dataclass

import omegaconf
import pydantic
import yaml
from omegaconf import OmegaConf

print("omegaconf", omegaconf.__version__, "pydantic", pydantic.VERSION)


@dataclass
class Settings:
    name: str = ""
    steps: int = 1


class Strict(pydantic.BaseModel):
    name: str


right = {"010": "8", "1.10": "1.1", "16:9": "969", "12:30:45": "45045", "7e12345": "inf", "1_000": "1000", "yes": "True"}
wrong, refused = [], []
for text, becomes in {**right, "v1.10": "v1.10"}.items():
    file = OmegaConf.merge(OmegaConf.structured(Settings), OmegaConf.create(f"name: {text}")).name
    line = OmegaConf.merge(OmegaConf.structured(Settings), OmegaConf.from_dotlist([f"name={text}"])).name
    try:
        pydantics = repr(Strict(**yaml.safe_load(f"name: {text}")).name)
    except pydantic.ValidationError:
        pydantics = "refused"
        refused.append(text)
    print(f"name: {text:9} file {file!r:9} command line {line!r:9} pydantic {pydantics}")
    if (file, line) != (becomes, becomes):
        wrong.append(text)
try:
    OmegaConf.merge(OmegaConf.structured(Settings), OmegaConf.create("steps: 3.7"))
    sys.exit("CHANGED: 3.7 is taken for an int")
except omegaconf.ValidationError as error:
    print("steps: 3.7:", str(error).splitlines()[0])
if {"010", "1.10", "16:9", "12:30:45", "1_000", "yes"} - set(refused):
    sys.exit("CHANGED: what it is compared with does not hold")
if wrong:
    sys.exit(f"CHANGED: another text for {wrong}")
print("HOLDS: fields declared as text hold what YAML made of it")
PY
