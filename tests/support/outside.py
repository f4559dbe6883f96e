"""A Python environment of its own, for packages that are not part of this project; made without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Environment"]


@dataclass
class Environment:
    """A fresh virtual environment that sees what this one has installed, bridge-payments included."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Environment:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        made = cls(folder)
        [site] = made.folder.glob("lib/python3*/site-packages")
        # `addsitedir` and not a bare path: bridge-payments itself may be installed as a link.
        line = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        site.joinpath("beneath.pth").write_text(line)
        return made

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self, package: Path) -> None:
        """Build a distribution from a copy of *package* and install it, as pip does everywhere."""
        copy = self.folder / "built" / package.name
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
        done = self.run(
            "-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation", "--quiet", str(copy)
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run Python away from this project's tree, so that only what is installed is found."""
        # Without CI, too: pytest says everything twice where that is set.
        bare = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "PYTEST")) and name != "CI"
        }
        return subprocess.run(
            [self.python, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=cwd or self.folder,
            env=bare,
        )

    def conformance(self, package: Path) -> subprocess.CompletedProcess[str]:
        """Run the tests of *package*, without its code beside them: the installed one is meant."""
        tests = self.folder / "tests" / package.name
        shutil.copytree(package / "tests", tests / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(package / "pyproject.toml", tests)
        return self.run("-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", cwd=tests)
