"""A project with the real stage names and graph, whose stages only copy a line of text: for tests of the flow.

``params.yaml`` is the demo's and the descriptor the real one; both are only checked. ``source/`` is what ingest
reads. A stage appends its pid to ``work/<stage>/pids``, then does what ``behave/<stage>`` says: ``exit N`` (with a last
word), ``sleep``, ``wait`` (until the file ``go`` is there), or nothing.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from tests.support.project import look_like_a_clone
from walt.core import environment
from walt.core.paths import ARTIFACTS
from walt.project.recipes import recipe_text
from walt.project.registry import STAGES, Stage

ROOT = Path(__file__).resolve().parents[2]

_STAGE = """
import json, os, pathlib, subprocess, sys, time
name, outputs, inputs = sys.argv[1], sys.argv[2].split(","), [i for i in sys.argv[3].split(",") if i]
work = pathlib.Path("work") / name
work.mkdir(parents=True, exist_ok=True)
with open(work / "pids", "a") as stream:
    stream.write(f"{os.getpid()}\\n")
file = os.environ.get("WALT_PROGRESS_FILE")
if file:
    state = {"description": name, "completed": 3, "total": 4, "unit": "steps", "rate": 1.5, "note": "loss 0.1"}
    pathlib.Path(file).write_text(json.dumps(state))
behaviour = pathlib.Path("behave") / name
words = behaviour.read_text().split() if behaviour.is_file() else []
if words[:1] == ["exit"]:
    print(f"walt: the disk of {name} is full", file=sys.stderr)
    sys.exit(int(words[1]))
if words == ["wait"]:
    (work / "running").write_text(str(os.getpid()))
    while not pathlib.Path("go").is_file():
        time.sleep(0.05)
elif words:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
    (work / "running").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(300)
print(f"{name} at work")
def text(path):
    path = pathlib.Path(path)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return "".join(p.read_text() for p in files)
for output in outputs:
    path = pathlib.Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(output + ": " + "".join(text(i) for i in inputs)[:60])
(work / "result.json").write_text(json.dumps({"loss": 0.25, "clips": {"train": 3}}))
"""

_WALT = f"""#!{sys.executable}
import json, pathlib, sys
print(f"walt {{sys.argv[1]}} was called")
with open("calls", "a") as stream:
    stream.write(sys.argv[1] + "\\n")
if sys.argv[1] == "promote" and pathlib.Path("behave/promote").is_file():
    print("walt: models/base: these are not the weights that were evaluated", file=sys.stderr)
    sys.exit(2)
if sys.argv[1] == "promote":
    print("version 2 is better: it takes the alias")
if sys.argv[1:] == ["retrain"]:
    go = pathlib.Path("behave/retrain").is_file()
    said = "7 new clips, the rule wants 5" if go else "3 new clips, the rule wants 5: nothing to do"
    work = pathlib.Path("work/retrain")
    work.mkdir(parents=True, exist_ok=True)
    (work / "plan.json").write_text(json.dumps({{"go": go, "said": said, "champion": {{}}, "settings": {{}}}}))
    print(said)
    if go:
        before = pathlib.Path("params.yaml").read_text()
        (work / "params.before.yaml").write_text(before)
        for file in (work / "params.written.yaml", pathlib.Path("params.yaml")):
            file.write_text(before + "# of a retraining\\n")
"""


def tools_of(root: Path) -> Path:
    """The folder of the project's tools, which replaces the virtual environment's."""
    return root / "tools"


def use_own_dvc(root: Path) -> None:
    """Have DVC's processes be children of their callers, as the virtual environment's are."""
    (tools_of(root) / "dvc").unlink(missing_ok=True)
    (tools_of(root) / "dvc").symlink_to(Path(sys.executable).parent / "dvc")


def make_project(root: Path) -> None:
    """Fill ``root``."""
    look_like_a_clone(root)  # its dvc.yaml is not made from the registry
    (root / "params.yaml").write_text(recipe_text("demo"), encoding="utf-8")
    shutil.copytree(ROOT / "datasets", root / "datasets")
    (root / "stage.py").write_text(_STAGE)
    (root / "source").mkdir()
    (root / "source" / "a.txt").write_text("first\n")
    (root / "behave").mkdir()
    (root / ".gitignore").write_text("/data\n/models\n/results\n/work\n")
    stages = {stage.name: _entry(stage) for stage in STAGES}
    with open(root / "dvc.yaml", "w", encoding="utf-8") as stream:
        YAML().dump({"stages": stages}, stream)
    tools = tools_of(root)
    tools.mkdir()
    (tools / "walt").write_text(_WALT)
    (tools / "walt").chmod(0o755 | stat.S_IXUSR)
    use_own_dvc(root)
    settings = {**os.environ, **environment.defaults(os.environ)}
    dvc = [sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"]
    subprocess.run(dvc, cwd=root, env=settings, check=True)


def behave(root: Path, stage: str, how: str | None) -> None:
    """Tell a stage what to do from now on."""
    file = root / "behave" / stage
    if how is None:
        file.unlink()
    else:
        file.write_text(how)


def runs(root: Path, stage: str) -> int:
    """How often a stage was started."""
    file = root / "work" / stage / "pids"
    return len(file.read_text().split()) if file.is_file() else 0


def _entry(stage: Stage) -> dict[str, object]:
    inputs = [ARTIFACTS[name] for name in stage.inputs] or ["source"]
    outputs = [ARTIFACTS[name] for name in stage.outputs]
    return {
        "cmd": f"{sys.executable} stage.py {stage.name} {','.join(outputs)} {','.join(inputs)}",
        "deps": [*inputs],
        "outs": outputs,
    }
