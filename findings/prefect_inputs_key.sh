#!/usr/bin/env bash
# Prefect's cache by inputs takes two configurations for one, if what differs is not in their JSON.
#
# Guess:  with cache_policy=INPUTS a task is run again whenever an argument is another one; what can't be hashed is refused.
# Truth:  the key is a hash of the arguments' JSON, and a pydantic model writes into it only what its fields declare: of a field
#         annotated with a base class the subclass's own fields are left out, so AdamW with a rate of 0.001 and one with 0.1 are
#         one input and the second training returns the first one's result. The same for private attributes, for fields with
#         exclude=True, for secrets (all are asterisks) and for the flags of a compiled regular expression. NumPy arrays,
#         tensors and plain objects are told apart. SerializeAsAny on the field brings the subclass's fields in.
# Seen:   prefect 3.8.8, pydantic 2.14.3
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet prefect==3.8.8 pydantic==2.14.3 'fastapi<0.151' 'sqlalchemy<2.1'
export PREFECT_HOME="$work/prefect" PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1 PREFECT_LOGGING_LEVEL=ERROR
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=240
unset PREFECT_API_URL
cat > keys.py <<'PY'
import re
import sys

import prefect
import pydantic
from prefect import flow, task
from prefect.cache_policies import INPUTS
from pydantic import BaseModel, PrivateAttr, SecretStr, SerializeAsAny


class Optimizer(BaseModel):
    name: str


class AdamW(Optimizer):
    rate: float


class Training(BaseModel):
    optimizer: Optimizer


class Whole(BaseModel):
    optimizer: SerializeAsAny[Optimizer]


class Counted(BaseModel):
    _frames: int = PrivateAttr(0)


class Plain:
    def __init__(self, rate):
        self.rate = rate


def counted(frames):
    model = Counted()
    model._frames = frames
    return model


ran = []


@task(cache_policy=INPUTS, persist_result=True)
def train(config, describe):
    ran.append(describe)
    return describe


PAIRS = {
    "subclass in a field": [Training(optimizer=AdamW(name="adamw", rate=rate)) for rate in (0.001, 0.1)],
    "subclass, SerializeAsAny": [Whole(optimizer=AdamW(name="adamw", rate=rate)) for rate in (0.001, 0.1)],
    "subclass by itself": [AdamW(name="adamw", rate=rate) for rate in (0.001, 0.1)],
    "plain object": [Plain(rate) for rate in (0.001, 0.1)],
    "private attribute": [counted(frames) for frames in (17, 33)],
    "secret": [SecretStr(text) for text in ("one", "other")],
    "regular expression": [re.compile("cat", flags) for flags in (0, re.IGNORECASE)],
}


@flow
def main():
    for name, configs in PAIRS.items():
        for config in configs:
            train(config, name)


main()
print("prefect", prefect.__version__, "pydantic", pydantic.__version__)
times = {name: ran.count(name) for name in PAIRS}
for name, count in times.items():
    print(f"{name:26} two arguments, run {'once' if count == 1 else 'twice' if count == 2 else count}")
told = ("subclass, SerializeAsAny", "subclass by itself", "plain object")
if any(times[name] != 2 for name in told):
    sys.exit("CHANGED: what it is compared with does not hold")
unlike = [name for name in PAIRS if name not in told and times[name] != 1]
if unlike:
    sys.exit(f"CHANGED: told apart: {', '.join(unlike)}")
print("HOLDS: the second configuration gets the first one's result")
PY
venv/bin/python keys.py 2> err.txt || { cat err.txt >&2; exit 1; }
