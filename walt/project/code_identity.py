"""Which files of this package can change what a stage makes, found in the syntax trees, and their digest.

Those are the files that the stage's module imports, directly or not, except ``CHANGES_NO_RESULT``. DVC watches them
(``walt.project.dvc_yaml``), and stages that keep what they have made so far compare their digest. What starts a stage
(``walt.project.runner``, the registry, the command line) is not imported by it and not among them: it hands over the
sections and paths, whose values DVC watches itself.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection
from functools import lru_cache
from typing import Any

from walt.core import imports
from walt.core.digests import sha256_json

_WITH_DOCSTRINGS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

CHANGES_NO_RESULT: dict[str, str] = {
    "walt/tracking": "records what a stage makes",
    "walt/text/pickled_weights.py": "weights of a folder that are refused until a person converts them, bit for bit",
    "walt/core/log.py": "messages and progress",
    "walt/core/last_words.py": "what is said of a process that died",
    "walt/core/errors.py": "messages and exit statuses",
    "walt/core/secrets.py": "texts without credentials, in messages and records",
    "walt/core/suggestions.py": "the nearest name, in messages",
    "walt/core/paths.py": "where artefacts are",
    "walt/core/sizes.py": "what the folder of a size is called",
    "walt/core/transformers.py": "names, folders, titles (SHOWN); what a model starts from is an input in dvc.yaml",
    "walt/core/left_out.py": "the note in the folder of a model that a project does without",
    "walt/core/storage.py": "bytes pass through unchanged; digests are made in walt/core/digests.py",
    "walt/core/scratch.py": "where temporary files are",
    "walt/core/own_digest.py": "a digest beside what is stored, which passes through unchanged or is refused",
    "walt/core/verified_files.py": "which files need not be hashed again",
    "walt/core/servers.py": "bytes arrive as they are on the server, or not at all",
    "walt/core/remote_errors.py": "which requests are made again, and messages",
    "walt/core/imports.py": "finds the other files: their digest changes where what it finds does",
    "walt/core/environment.py": "variables of tools, on which no stage's result depends",
    "walt/core/config.py": "values pass through unchanged, or are refused",
    "walt/core/stopping.py": "how long whoever stops a stage waits",
    "walt/core/compute.py": "where and how fast a stage runs",
    "walt/core/ranks.py": "which process of a stage this one is",
    "walt/nn/collectives.py": "what the processes of a stage tell each other passes through unchanged",
    "walt/nn/device.py": "where tensors are",
    "walt/data/members.py": "the table of members passes through unchanged: each clip is of one, or it is refused",
    "walt/data/key_index.py": "keys pass through unchanged, sorted; they are there or not",
    "walt/data/tar_notes.py": "samples made before, of the same items with the same encoder, pass through unchanged",
    "walt/data/tar_places.py": "where members are in tars, whose names are compared at every read",
    "walt/data/open_tars.py": "bytes of tars pass through unchanged",
    "walt/data/remote_tars.py": "bytes of tars pass through unchanged, or are refused",
    "walt/data/prefetch.py": "batches pass through unchanged and in order",
    "walt/training/checkpoint.py": "a training's state passes through unchanged",
    "walt/training/continuation.py": "which checkpoint a training goes on from, and what is said of it",
    "walt/training/differences.py": "which checkpoint a training goes on from",
    "walt/training/set_aside.py": "where checkpoints are that a training does not go on from",
    "walt/training/checkpoint_writer.py": "a training's state passes through unchanged",
    "walt/training/compilation.py": "how fast a step is: as harmless as the setting that asks for it",
    "walt/training/loss_spikes.py": "a warning and a metric",
    "walt/training/validation.py": "when a model is looked at, which leaves every bit of it as before",
    "walt/training/termination.py": "when a training stops, to go on later",
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
    "walt/transformer/config.py": "values, which DVC watches",
}
"""File, or folder, through which only messages, progress, paths, records, bytes or settings pass -> what it does.

An edit of one of them leaves every stage fresh. What they import still counts. A file belongs here only where no
edit that leaves the tests passing could change a byte of a clip, a latent, an embedding or a weight, or a name in the
tables beside them; a page that shows its texts counts it (``SHOWN``).
"""

SHOWN: dict[str, tuple[str, ...]] = {"walt.stages.report": ("walt/core/transformers.py",)}
"""Module of a stage -> files of ``CHANGES_NO_RESULT`` whose texts its result shows: for this stage they count."""


def code_dependencies(module: str) -> list[str]:
    """Files of this package that can change what ``module`` makes, itself included; relative to the root, sorted.

    Editing one of them makes exactly the stages stale that reach it. Packages' ``__init__.py`` are left out: they hold
    a docstring and nothing else. A template beside a module belongs to it, and so do the YAML files of the folder that
    has its name in the plural (``protocol.py``, ``protocols``).
    """
    root, found = imports.package_root(), set(imports.imported_files(module))
    for file in tuple(found):
        source = root / file
        for data in (f"{source.stem}.*.jinja", f"{source.stem}s/*.yaml"):
            found.update(path.relative_to(root).as_posix() for path in source.parent.glob(data))
    return sorted(file for file in found if not changes_no_result(file) or file in SHOWN.get(module, ()))


def changes_no_result(file: str) -> bool:
    """Whether a file, relative to the root, is in ``CHANGES_NO_RESULT``, or in a folder that is."""
    return any(file == entry or file.startswith(f"{entry}/") for entry in CHANGES_NO_RESULT)


def code_digest(module: str, without: Collection[str] = ()) -> str:
    """One hex digest of ``code_digests(module)``: other code, another digest, wherever it is stored.

    Args:
        without: files, relative to the root, whose whole effect the caller's identity has as a value already.
    """
    files = code_digests(module)
    assert set(without) <= set(files), f"{sorted(set(without) - set(files))} are not dependencies of {module}"
    return sha256_json({file: digest for file, digest in files.items() if file not in without})


def code_digests(module: str) -> dict[str, str]:
    """File of ``code_dependencies(module)`` -> hex digest of what it computes.

    Comments, docstrings and formatting do not count in Python files; in others (templates) every byte does.
    """
    root = imports.package_root()
    return {file: _digest((root / file).read_bytes(), file) for file in code_dependencies(module)}


def _digest(content: bytes, file: str) -> str:
    if not file.endswith(".py"):
        return hashlib.sha256(content).hexdigest()
    return tree_digest(content.decode())


@lru_cache(maxsize=1024)
def tree_digest(source: str) -> str:
    """Hex digest of a Python source's syntax tree without its docstrings, those below fields included.

    The same in every version of Python that parses it to the same tree: empty fields, which versions add, are left out.
    """
    return sha256_json(_plain(ast.parse(source)))


def _plain(node: Any) -> Any:
    """A syntax tree as JSON, without places in the text."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return [type(node).__name__, repr(node)]
    plain = {}
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "body" and isinstance(node, _WITH_DOCSTRINGS):
            value = [statement for statement in node.body if not _is_text(statement)]
        if value is not None and value != []:
            plain[name] = _plain(value)
    return [type(node).__name__, plain]


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is nothing but a string: a docstring, of the module, class or function or of a field."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
