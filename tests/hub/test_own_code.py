"""The code that travels in an exported folder: complete, without our packages, and the same each time."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from walt.hub import own_code as module
from walt.hub.own_code import code_name, own_code

ROOT = "walt.hub.diffusers_models"


@pytest.fixture(scope="module")
def code() -> str:
    return own_code(ROOT)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is taken for the one that holds ``walt``."""
    folder = tmp_path / "walt"
    folder.mkdir()
    monkeypatch.setattr(module, "_PACKAGES", tmp_path)
    module._module.cache_clear()
    yield folder
    module._module.cache_clear()


def test_it_imports_nothing_of_ours(code: str) -> None:
    imported = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "diffusers copies no file that a file imports indirectly"
            imported.add((node.module or "").split(".")[0])
    ours_not = imported - set(sys.stdlib_module_names)
    assert ours_not == {"PIL", "diffusers", "numpy", "torch", "transformers"}


def test_every_name_in_it_is_defined_and_every_import_used(code: str, tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text(code)
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout


def test_it_reads_no_files(code: str) -> None:
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)}
    assert not called & {"open", "exec", "eval", "Path", "load_file", "torch.load", "__import__", "compile"}


def test_its_name_follows_from_its_text(code: str) -> None:
    assert own_code(ROOT) == code
    assert code_name(code) == code_name(own_code(ROOT)) != code_name(code + "\n")
    assert code_name(code).isidentifier()


def test_what_is_used_comes_along_with_its_comments_and_the_rest_stays(package: Path) -> None:
    (package / "one.py").write_text(
        '"""First."""\n\nimport math\nimport os\n\n# how long\nLENGTH = math.pi\n"""In metres."""\n'
        "UNUSED = os.name\n\n\ndef twice(x: int) -> float:\n    return 2 * x * LENGTH\n\n\n"
        "def never() -> None:\n    os.abort()\n"
    )
    (package / "two.py").write_text("from walt.one import twice\n\n\ndef four(x):\n    return twice(twice(x))\n")
    text = own_code("walt.two")
    assert '# how long\nLENGTH = math.pi\n"""In metres."""' in text
    assert "UNUSED" not in text
    assert "import os" not in text
    assert "never" not in text
    space: dict[str, object] = {}
    exec(compile(text, "code", "exec"), space)
    assert space["four"](1.0) == pytest.approx(39.478, abs=1e-3)  # type: ignore[operator]


def test_names_of_types_come_along_and_classes_of_annotations_do_not(package: Path) -> None:
    (package / "one.py").write_text("Size = tuple[int, int]\n\n\nclass Big:\n    pass\n")
    (package / "two.py").write_text(
        "from __future__ import annotations\nfrom walt.one import Big, Size\n\n\ndef f(a: Size, b: Big): ...\n"
    )
    text = own_code("walt.two")
    assert "Size = tuple[int, int]" in text
    assert "class Big" not in text


def test_checks_of_settings_stay_out(package: Path) -> None:
    (package / "one.py").write_text(
        "from __future__ import annotations\nfrom pydantic import Field, model_validator\n\n\nclass Section: ...\n\n\n"
        "class Own(Section):\n    share: float = Field(ge=0)\n    @model_validator(mode='after')\n"
        "    def _check(self) -> Own:\n        return self\n    @property\n    def half(self):\n"
        "        return self.share / 2\n"
    )
    text = own_code("walt.one")
    assert "pydantic" not in text
    assert "_check" not in text
    assert "    share: float\n    @property" in text


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("def f(): ...", "from walt.one import f\n\n\ndef g():\n    return f(), h\n\n\ndef h(): ...", None),
        ("def f(): return g()\n\n\ndef g(): ...", "from walt.one import f\n\n\ndef g():\n    return f()", "defined in"),
        ("def f(): ...", "from walt.one import f as other\n\n\ndef g():\n    return other()", "by their own names"),
        ("import os", "from walt.one import os\n\n\ndef g():\n    return os", "by their own names"),
    ],
)
def test_what_would_go_wrong_is_refused(package: Path, first: str, second: str, said: str | None) -> None:
    (package / "one.py").write_text(first)
    (package / "two.py").write_text(second)
    if said is None:
        assert "def f" in own_code("walt.two")
    else:
        with pytest.raises(ValueError, match=said):
            own_code("walt.two")
