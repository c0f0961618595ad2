#!/usr/bin/env bash
# Optuna's create_study(direction="maximize", load_if_exists=True) minimizes where the study was first made to minimize.
#
# Guess:  a study that exists is loaded where it has the direction that is asked for; another direction is refused, as another
#         name of an existing study is without load_if_exists.
# Truth:  the direction is not compared: a study made without one, which is minimized, stays so, without a warning. A score
#         that is to be maximized is driven down from then on, and best_trial is the worst trial. The same with `directions`:
#         a study of one objective is handed out to who asks for two.
# Seen:   optuna 5.0.0
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet optuna==5.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import warnings

import optuna
from optuna.storages.journal import JournalFileBackend

print("optuna", optuna.__version__)
optuna.logging.set_verbosity(optuna.logging.WARNING)
storage = optuna.storages.JournalStorage(JournalFileBackend("studies.log"))


def score(trial):
    """A score with its maximum, 1, at 0.8, and its minimum, 0.2, at 0."""
    return 1 - abs(trial.suggest_float("x", 0, 1) - 0.8)


def searched(name, first):
    """A study made as `first` says and then loaded to be maximized; the trials made after that."""
    if first is not None:
        optuna.create_study(storage=storage, study_name=name, **first)
    sampler = optuna.samplers.TPESampler(seed=0)
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", sampler=sampler, load_if_exists=True)
    study.optimize(score, n_trials=60)
    last = [trial.value for trial in study.trials[-20:]]
    print(f"{name:9} {study.direction.name}: best_value {study.best_value:.3f}, mean of the last 20 trials {sum(last) / 20:.3f}")
    return study.best_value, sum(last) / 20


with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    new, asked = searched("new", None), searched("maximized", {"direction": "maximize"})
    plain = searched("plain", {})
    two = optuna.create_study(storage=storage, study_name="plain", directions=["minimize", "maximize"], load_if_exists=True)
print("asked for two directions:", [direction.name for direction in two.directions])
print("warnings:", [str(warning.message) for warning in warned])
if min(new + asked) < 0.8:
    sys.exit("CHANGED: what it is compared with does not hold")
if plain[0] > 0.3 or plain[1] > 0.5 or len(two.directions) != 1 or warned:
    sys.exit("CHANGED: the direction that is asked for counts, or there is a warning")
print("HOLDS: a study that is asked to maximize minimizes")
PY
