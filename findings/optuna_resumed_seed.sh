#!/usr/bin/env bash
# A seeded Optuna study that is stopped and resumed tries the points again that it has tried.
#
# Guess:  a study in a file, with TPESampler(seed=0) and load_if_exists=True, goes on with new points when its script is started
#         again: what it knows is in the file.
# Truth:  the sampler's random numbers begin anew with each process, and the points that are drawn before there are enough trials
#         to learn from are the same ones: a study of 8 trials, done as 4 and 4, is 4 trials done twice; RandomSampler repeats
#         itself however many there are. Four workers that start together on one study, as for a cluster, run the same trial
#         four times. Without a warning. QMCSampler and, without a seed, all of them go on.
# Seen:   optuna 5.0.0, scipy 1.17.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet optuna==5.0.0 numpy==2.4.6 scipy==1.17.1
venv/bin/python -W ignore - <<'PY'
import sys

import optuna
from optuna.storages.journal import JournalFileBackend

print("optuna", optuna.__version__)
optuna.logging.set_verbosity(optuna.logging.WARNING)
storage = optuna.storages.JournalStorage(JournalFileBackend("studies.log"))
samplers = optuna.samplers


def objective(trial):
    return (trial.suggest_float("rate", 1e-5, 1e-2, log=True) - 1e-3) ** 2 + trial.suggest_float("decay", 0, 1)


def distinct(name, make, parts):
    """The number of different points among all trials of a study that is resumed after each part."""
    for count in parts:
        study = optuna.create_study(storage=storage, study_name=name, sampler=make(), load_if_exists=True)
        study.optimize(objective, n_trials=count)
    found = len({tuple(trial.params.values()) for trial in study.trials})
    print(f"{name:28} {sum(parts):2} trials in parts of {parts}: {found} different points")
    return found


def together(name, make, workers):
    """The same for workers that each begin one trial before any has a result."""
    optuna.create_study(storage=storage, study_name=name)
    trials = [optuna.load_study(storage=storage, study_name=name, sampler=make()).ask() for _ in range(workers)]
    found = len({(objective(trial), *trial.params.values()) for trial in trials})
    print(f"{name:28} {workers} workers at once: {found} different points")
    return found


def tpe():
    return samplers.TPESampler(seed=0)


whole = distinct("TPE, not stopped", tpe, [8])
tpe_found = distinct("TPE", tpe, [4, 4])
random_found = distinct("Random", lambda: samplers.RandomSampler(seed=0), [20, 20])
qmc = distinct("QMC", lambda: samplers.QMCSampler(seed=0), [8, 8])
unseeded = distinct("TPE without a seed", samplers.TPESampler, [4, 4])
workers = together("TPE, workers", tpe, 4)
apart = together("TPE without a seed, workers", samplers.TPESampler, 4)
if whole != 8 or unseeded != 8 or apart != 4:
    sys.exit("CHANGED: what it is compared with does not hold")
if tpe_found != 4 or random_found != 20 or workers != 1:
    sys.exit("CHANGED: a resumed study does not repeat itself")
if qmc < 15:
    sys.exit("CHANGED: QMCSampler repeats itself, too")
print("HOLDS: of 8 trials four are repetitions")
PY
