#!/usr/bin/env bash
# Optuna takes a misspelt name in enqueue_trial, and tries a random value in its place.
#
# Guess:  study.enqueue_trial({"learnin_rate": 0.25}) is refused or warned of once the trial asks for "learning_rate".
# Truth:  the name is kept among the trial's fixed parameters and never asked for: the trial runs with a drawn learning_rate, in
#         the table it looks like any other, and neither a warning nor the log at its most talkative says so.
# Seen:   optuna 5.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet optuna==5.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import logging
import sys
import warnings

import optuna

print("optuna", optuna.__version__)
lines = []
catcher = logging.Handler()
catcher.emit = lambda record: lines.append(record.getMessage())
optuna.logging.disable_default_handler()
optuna.logging.set_verbosity(optuna.logging.DEBUG)
logging.getLogger("optuna").addHandler(catcher)


def first(name, value):
    """What the first trial tried, and what was said about it: warnings and lines of the log that name the parameter given."""
    lines.clear()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        study.enqueue_trial({name: value})
        study.optimize(lambda trial: trial.suggest_float("learning_rate", 0, 1), n_trials=1)
    said = [str(entry.message) for entry in warned] + [line for line in lines if name in line and "finished" not in line]
    print(f"{name} = {value}: tried {study.trials[0].params}; said: {[text[:90] for text in said]}; log of {len(lines)} lines")
    return study.trials[0].params["learning_rate"], said


right, outside, misspelt = first("learning_rate", 0.25), first("learning_rate", 7.0), first("learnin_rate", 0.25)
if right[0] != 0.25 or not outside[1]:
    sys.exit("CHANGED: what it is compared with does not hold")
if misspelt[0] == 0.25 or misspelt[1]:
    sys.exit("CHANGED: a misspelt name is refused or spoken of")
print(f"HOLDS: {misspelt[0]:.3f} was tried for 0.25, and nothing was said")
PY
