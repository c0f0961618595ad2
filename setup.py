"""What pyproject.toml cannot say: a wheel holds the files that ``walt init`` puts into a project's folder, and the
pages."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PROJECT_FILES = ("datasets", "prefect.yaml", "prefect.toml", ".dvc/config", ".dvcignore", ".gitignore")
PAGES = ("README.md", "docs", "infra/README.md")
"""What ``walt docs`` shows."""


class BuildWithProjectFiles(build_py):
    """Copies them beside the code, from where they are in a clone."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # they are where they are
        for name in (*PROJECT_FILES, *PAGES):
            files = "*.md" if name in PAGES else "*.*"
            for file in [Path(name)] if Path(name).is_file() else sorted(Path(name).rglob(files)):
                target = Path(self.build_lib, "walt/project_files", file)
                self.mkpath(str(target.parent))
                self.copy_file(str(file), str(target))


setup(cmdclass={"build_py": BuildWithProjectFiles})
