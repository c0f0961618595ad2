"""Which files of this package can change what a stage makes, found in the syntax trees, and their digest.

Those are the files that the stage's module imports, directly or not, except ``CHANGES_NO_RESULT``. DVC watches them
(``walt.project.dvc_yaml``), and stages that keep what they have made so far compare their digest.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path

from walt.core.digests import sha256_json
from walt.core.storage import sha256_file

CHANGES_NO_RESULT: dict[str, str] = {
    "walt/tracking": "records what a stage makes",
    "walt/core/log.py": "messages and progress",
    "walt/core/errors.py": "messages and exit statuses",
    "walt/core/suggestions.py": "the nearest name, in messages",
    "walt/core/paths.py": "where artefacts are",
    "walt/core/sizes.py": "what the folder of a size is called",
    "walt/core/transformers.py": "names and folders; what a model starts from is also an input in dvc.yaml",
    "walt/core/left_out.py": "the note in the folder of a model that a project does without",
    "walt/core/storage.py": "bytes pass through unchanged; names and identities are made in walt/core/digests.py",
    "walt/core/environment.py": "variables of tools, on which no stage's result depends",
    "walt/core/config.py": "values pass through unchanged, or are refused",
    "walt/core/compute.py": "where and how fast a stage runs",
    "walt/nn/device.py": "where tensors are",
    "walt/data/prefetch.py": "batches pass through unchanged and in order",
    "walt/training/checkpoint.py": "a training's state passes through unchanged",
    "walt/project/code_identity.py": "the digest of the other files, which changes where it changes",
    # Sections that hold only fields and checks: DVC watches their values (a test checks this).
    "walt/diffusion/config.py": "values, which DVC watches",
    "walt/evaluation/config.py": "values, which DVC watches",
    "walt/project/encode_video_config.py": "values, which DVC watches",
    "walt/project/report_config.py": "values, which DVC watches",
    "walt/sampling/config.py": "values, which DVC watches",
    "walt/text/config.py": "values, which DVC watches",
    "walt/training/config.py": "values, which DVC watches",
    "walt/training/autoencoder_config.py": "values, which DVC watches",
}
"""File, or folder, through which only messages, progress, paths, records, bytes or settings pass -> what it does.

An edit of one of them leaves every stage fresh. What they import still counts. A file belongs here only where no
edit that leaves the tests passing could change a byte of a clip, a latent, an embedding or a weight.
"""


def code_dependencies(module: str) -> list[str]:
    """Files of this package that can change what ``module`` makes, itself included; relative to the root, sorted.

    Editing one of them makes exactly the stages stale that reach it. Packages' ``__init__.py`` are left out: they hold
    a docstring and nothing else. A template beside a module belongs to it.
    """
    root = package_root()
    assert _file_of(root, module) is not None, f"there is no module {module}"
    found: set[str] = set()
    seen, pending = {module}, [module]
    while pending:
        file = _file_of(root, pending.pop())
        if file is None:
            continue
        found.add(file.relative_to(root).as_posix())
        found.update(template.relative_to(root).as_posix() for template in file.parent.glob(f"{file.stem}.*.jinja"))
        for name in _imported_names(file.read_text(encoding="utf-8")):
            if name not in seen:
                seen.add(name)
                pending.append(name)
    return sorted(file for file in found if not changes_no_result(file))


def changes_no_result(file: str) -> bool:
    """Whether a file, relative to the root, is in ``CHANGES_NO_RESULT``, or in a folder that is."""
    return any(file == entry or file.startswith(f"{entry}/") for entry in CHANGES_NO_RESULT)


def code_digest(module: str, without: Collection[str] = ()) -> str:
    """Hex digest of the contents of ``code_dependencies(module)``: other code, another digest, wherever it is stored.

    Args:
        without: files, relative to the root, whose whole effect the caller's identity has as a value already.
    """
    root, files = package_root(), code_dependencies(module)
    assert set(without) <= set(files), f"{sorted(set(without) - set(files))} are not dependencies of {module}"
    return sha256_json({file: sha256_file(root / file) for file in files if file not in without})


def package_root() -> Path:
    """The folder that holds ``walt/``."""
    return Path(__file__).resolve().parents[2]


@lru_cache(maxsize=1024)
def _imported_names(source: str) -> tuple[str, ...]:
    """Dotted names of this package that a source text imports, except for type checking only.

    Some are of functions or classes, not of modules.
    """
    names: list[str] = []
    for node in _nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.split(".")[0] == "walt")


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes except those under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _nodes(child)


def _file_of(root: Path, module: str) -> Path | None:
    """The file of a module of this package; None for packages, and for names that are not modules."""
    file = root / f"{module.replace('.', '/')}.py"
    return file if file.is_file() else None
