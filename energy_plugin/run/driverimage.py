"""The driver image: this project itself in a container, which runs cases in sibling containers."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from energy_plugin.errors import UsageError
from energy_plugin.run.images import PREFIX, Base, Recipe, make, plain_member, resolve_base

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import DockerClient

NAME = "driver"
PUBLIC_BASE = "debian:12-slim"
CHECKOUT = Path(__file__).resolve().parents[2]
PARTS = ("energy_plugin", "causal_report", "templates", "images", "benchmarks")
FILES = ("Dockerfile", "pyproject.toml", "README.md", "LICENSE", "conftest.py")


def build(client: DockerClient, base_name: str, say: Callable[[str], None]) -> tuple[str, bool]:
    """Build ``wattwhy/driver`` unless it is there already.

    Args:
        client: the engine.
        base_name: ``local`` for this host's own files; any image; ``cuda`` is a public Debian here,
            since the driver itself never trains.
        say: receives lines of progress.

    Returns:
        Its tag, and whether it was built now.

    Raises:
        UsageError: this is no checkout, or the build failed.
    """
    if not (CHECKOUT / "Dockerfile").is_file():
        raise UsageError("the driver image is built from a checkout, and this is an installed package")
    files = _files(CHECKOUT)
    base = _base(client, base_name, say)
    sources = _digest(CHECKOUT, files)
    tag = f"{PREFIX}{NAME}:{sources[:12]}-{base.id}"
    recipe = Recipe(
        tag=tag,
        sources=sources,
        dockerfile="Dockerfile",
        context=lambda: _context(CHECKOUT, files),
        network=base_name != "local",
    )
    return tag, make(client, recipe, base, say)


def _base(client: DockerClient, name: str, say: Callable[[str], None]) -> Base:
    if name == "local":
        from energy_plugin.run import baseimage

        return baseimage.ensure(client, NAME, say)
    return resolve_base(client, PUBLIC_BASE if name == "cuda" else name, say)


def _files(root: Path) -> list[Path]:
    from energy_plugin.declare.catalog import source_files

    return [root / name for name in FILES] + [path for part in PARTS for path in source_files(root / part)]


def _digest(root: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _context(root: Path, files: list[Path]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in files:
            tar.add(path, path.relative_to(root).as_posix(), filter=plain_member)
    packed.seek(0)
    return packed
