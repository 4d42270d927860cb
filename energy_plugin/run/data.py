"""Data folders of the repositories: the user's own, or small ones prepared once and cached."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from energy_plugin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from energy_plugin.declare.catalog import Catalog, Repository


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/wattwhy`` or ``~/.cache/wattwhy``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "wattwhy"


class DataStore:
    """Finds or prepares one data folder for each repository."""

    def __init__(self, catalog: Catalog, user: Path | None, cache: Path | None = None) -> None:
        self._catalog = catalog
        self._user = user
        self._cache = cache or cache_folder() / "data"
        self._found: dict[str, Path] = {}

    def check(self, repositories: Iterable[str]) -> dict[str, Path]:
        """The folder of every repository, prepared where need be.

        Raises:
            UsageError: the user's folder holds none of them, or preparing failed.
        """
        names = sorted(set(repositories))
        if names and self._user and not any((self._user / name).is_dir() for name in names):
            wanted = ", ".join(f"{self._user.name}/{name}" for name in names)
            raise UsageError(
                f"--energy-data {self._user}: expected a folder for a repository there: {wanted}"
            )
        return {name: self.folder(name) for name in names}

    def folder(self, name: str) -> Path:
        """The data folder of one repository."""
        if name not in self._found:
            self._found[name] = self.own(name) or self._prepared(name)
        return self._found[name]

    def own(self, name: str) -> Path | None:
        """The user's own data folder of one repository, None where there is none."""
        folder = self._user / name if self._user else None
        return folder if folder and folder.is_dir() else None

    def _prepared(self, name: str) -> Path:
        repository = self._catalog.repositories[name]
        if repository.data is None:
            raise UsageError(f"{name} prepares no data of its own: give --energy-data DIR with DIR/{name}")
        programs = (repository.data, _base(repository) / "prepared.py")
        content = b"".join(file.read_bytes() for file in programs if file.is_file())
        target = self._cache / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
        if not target.is_dir():
            _prepare(repository, target)
        return target


def _base(repository: Repository) -> Path:
    """The modules that the programs of all repositories share."""
    return repository.folder.parent / "base"


def _prepare(repository: Repository, target: Path) -> None:
    """Run the repository's data.py into a temporary folder and rename it into place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".preparing-") as temporary:
        fresh = Path(temporary) / "data"
        paths = filter(None, (str(_base(repository)), os.environ.get("PYTHONPATH")))
        done = subprocess.run(
            [sys.executable, str(repository.data), str(fresh)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            tail = done.stderr.strip().splitlines()[-3:]
            raise UsageError(f"{repository.data} could not prepare data: {' / '.join(tail)}")
        if not target.is_dir():
            shutil.move(fresh, target)
