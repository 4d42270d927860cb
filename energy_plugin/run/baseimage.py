"""A base image without any registry: this host's own Debian files, Python, and its installed torch.

``plain`` is a root file system of the packages that Python and a shell need. ``local`` is the same with
torch, numpy and what they require, as installed for the running interpreter. Both are one tar streamed
into the engine. Sources that have no compiled form get one on the way: a container's read-only root
could not keep it, and importing torch from sources takes 20 s in every case.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import io
import os
import platform
import py_compile
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from energy_plugin.errors import UsageError
from energy_plugin.run.images import BASE, BASE_IS, Base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from docker import DockerClient

NAME = "wattwhy-base"
RECIPE = 2
"""Raised when the same packages would make another image."""
SEEDS = (
    *("bash", "dash", "coreutils", "sed", "grep", "findutils"),  # originals are started by scripts
    *("base-files", "base-passwd", "libstdc++6", "libgcc-s1", "libgomp1"),
)
LEFT_OUT_OF_SYSTEM = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/info/")
LEFT_OUT_OF_SITE = ("torch/include/", "torch/share/", "torch/test/", "torch/bin/test_")
PROJECT = "wattwhy"
NEVER_IMPORTED = {"jupyter"}
"""What dibs-lib asks for and never imports: half of all packages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a base of this kind holds beside Python and a shell.

    Attributes:
        packages: Debian packages that must be installed on this host.
        distributions: Python distributions with all they require.
    """

    packages: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()


KINDS = {
    "plain": Kind(),
    "local": Kind(distributions=("torch", "numpy")),
    "driver": Kind(packages=("linux-perf", "graphviz"), distributions=(PROJECT, "mlxtend")),
}
MERGED = ("bin", "sbin", "lib", "lib64", "lib32", "libx32")
"""Folders that are links into ``/usr`` today; a file listed below one must be stored below ``/usr``."""
SYSTEM_FILES = ("etc/passwd", "etc/group", "etc/nsswitch.conf", "etc/ld.so.cache", "etc/ld.so.conf")
ENVIRONMENT = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def ensure(client: DockerClient, kind: str, say: Callable[[str], None]) -> Base:
    """The base of one of :data:`KINDS`, imported into the engine unless it is there already.

    Raises:
        UsageError: this host is not Debian's kin, the running Python is not the distribution's, or
            something that belongs in is not installed.
    """
    from docker.errors import ImageNotFound

    packages = debian_packages(KINDS[kind].packages)
    distributions = python_distributions(KINDS[kind].distributions)
    base_id = f"{kind}-{_digest(packages, distributions)}"
    torch = f" torch{distributions['torch'].version}" if "torch" in distributions else ""
    base = Base(name=f"{NAME}:{base_id}", id=base_id, is_=f"python{platform.python_version()}{torch}")
    try:
        client.images.get(base.name)
        say(f"{base.name}: up to date")
    except ImageNotFound:
        say(f"{base.name}: importing {len(packages)} system and {len(distributions)} Python packages")
        _import(client, base, list(packages), list(distributions.values()))
    return base


def _digest(packages: dict[str, str], distributions: dict[str, importlib.metadata.Distribution]) -> str:
    lines = [f"recipe {RECIPE}", *(f"{name} {version}" for name, version in sorted(packages.items()))]
    lines += [f"{name} {found.version}" for name, found in sorted(distributions.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


# --- what goes in -----------------------------------------------------------------------------------


def debian_packages(wanted: Sequence[str] = ()) -> dict[str, str]:
    """Name to version of the installed packages that Python, a shell and *wanted* need here.

    Raises:
        UsageError: no dpkg, a wanted package is not installed, or the running Python belongs to none.
    """
    if not shutil.which("dpkg-query"):
        raise UsageError(
            "--base local copies the files of a Debian or Ubuntu host, which this is not: give --base IMAGE "
            "with any image that has python3 and torch, or --base cuda"
        )
    python = _python_package()
    depends, versions, provided = _installed()
    chosen: set[str] = set()
    absent = [name for name in wanted if name not in versions]
    if absent:
        raise UsageError(f"this base needs packages of the host: sudo apt-get install {' '.join(absent)}")
    waiting = [python, *wanted, *(seed for seed in SEEDS if seed in versions)]
    while waiting:
        name = waiting.pop()
        if name not in chosen:
            chosen.add(name)
            for choices in depends[name]:
                real = (owner for choice in choices for owner in provided.get(choice, ()))
                waiting += list(real)[:1]
    return {name: versions[name] for name in sorted(chosen)}


def _python_package() -> str:
    interpreter = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    done = subprocess.run(["dpkg-query", "-S", interpreter], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(
            f"--base local needs the distribution's Python, and {interpreter} belongs to no package: make "
            "the virtual environment from /usr/bin/python3, or give --base IMAGE or --base cuda"
        )
    # pythonX.Y-minimal owns the interpreter, pythonX.Y the rest of the standard library
    return done.stdout.partition(":")[0].split(",")[0].removesuffix("-minimal")


def _installed() -> tuple[dict[str, list[list[str]]], dict[str, str], dict[str, list[str]]]:
    """Of every installed package: dependencies (each a list of choices), version; and who provides what."""
    fields = "${Package}\t${Version}\t${Pre-Depends}, ${Depends}\t${Provides}\n"
    text = subprocess.run(
        ["dpkg-query", "-W", "-f", fields], capture_output=True, text=True, check=True
    ).stdout
    depends: dict[str, list[list[str]]] = {}
    versions: dict[str, str] = {}
    provided: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, version, needs, provides = line.split("\t")
        versions[name] = version
        depends[name] = [[_bare(c) for c in part.split("|")] for part in needs.split(",") if part.strip()]
        provided.setdefault(name, []).insert(0, name)
        for other in filter(None, map(_bare, provides.split(","))):
            provided.setdefault(other, []).append(name)
    return depends, versions, provided


def _bare(text: str) -> str:
    """A package's name without version and architecture."""
    return text.strip().partition(" ")[0].partition(":")[0]


def python_distributions(wanted: Sequence[str]) -> dict[str, importlib.metadata.Distribution]:
    """*wanted* and all they require, as the running interpreter has them; this project itself left out.

    Raises:
        UsageError: one of them is not installed.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(wanted)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found or name in NEVER_IMPORTED:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise UsageError(
                f"this base needs {name} in {sys.executable}: pip install 'wattwhy[train]'"
            ) from None
        needs = (Requirement(text) for text in found[name].requires or ())
        waiting += [n.name for n in needs if n.marker is None or n.marker.evaluate({"extra": ""})]
    found.pop(PROJECT, None)
    return found


# --- the tar ----------------------------------------------------------------------------------------


def _import(
    client: DockerClient,
    base: Base,
    packages: list[str],
    distributions: list[importlib.metadata.Distribution],
) -> None:
    """Pack in a thread, import from the other end of its pipe; nothing is stored in between."""
    files = dict(system_files(packages)) | dict(site_files(distributions))
    read, write = os.pipe()
    failed: list[BaseException] = []

    def pack() -> None:
        try:
            with os.fdopen(write, "wb") as out, tarfile.open(fileobj=out, mode="w|", bufsize=2**20) as tar:
                add_all(tar, files)
        except BaseException as error:  # told below, by the thread that waits
            failed.append(error)

    packer = threading.Thread(target=pack, daemon=True)
    packer.start()
    labels = f'LABEL {BASE}="{base.id}" {BASE_IS}="{base.is_}"'
    with os.fdopen(read, "rb") as packed:
        client.api.import_image_from_stream(
            iter(lambda: packed.read(2**20), b""),
            repository=NAME,
            tag=base.id,
            changes=[f"ENV {ENVIRONMENT}", labels],
        )
    packer.join()
    if failed:
        client.images.remove(base.name, force=True)
        raise UsageError(f"{base.name} could not be packed: {failed[0]}")


def add_all(tar: tarfile.TarFile, files: dict[str, Path]) -> None:
    """Add every file under its name in the image, and a compiled form to each source without one."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, path in sorted(files.items()):
            _add(tar, name, path)
            cached = _cached(name)
            if cached and cached not in files and stat.S_ISREG(path.lstat().st_mode):
                compiled = Path(scratch) / "compiled.pyc"
                try:
                    py_compile.compile(str(path), cfile=str(compiled), dfile=f"/{name}", doraise=True)
                except (py_compile.PyCompileError, OSError):
                    continue  # templates and deliberately broken files
                _add(tar, cached, compiled)


def _cached(name: str) -> str:
    return importlib.util.cache_from_source(name) if name.endswith(".py") else ""


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    member = tar.gettarinfo(path, name)
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = int(member.mtime)  # what a compiled form compares with
    if name == "tmp":
        member.mode = 0o1777  # whatever this host's is: a tmpfs mounted there takes it over
    if member.islnk():  # hard-linked on this host; its other name may not be in the image
        member.type, member.size = tarfile.REGTYPE, path.stat().st_size
    if member.isreg():
        member.mode |= 0o444
        with path.open("rb") as content:
            tar.addfile(member, content)
    else:
        tar.addfile(member, io.BytesIO())


def system_files(packages: list[str]) -> Iterator[tuple[str, Path]]:
    """Name in the image and path here of the packages' files, links and folders."""
    done = subprocess.run(["dpkg-query", "-L", *packages], capture_output=True, text=True, check=True)
    listed = {line[1:] for line in done.stdout.splitlines() if line.startswith("/") and line != "/."}
    listed |= {*SYSTEM_FILES, *MERGED, "tmp", "etc/ssl/certs", "usr/bin/python3"}
    for name in sorted(listed):
        path = Path("/") / name
        kept = not f"{name}/".startswith(LEFT_OUT_OF_SYSTEM) and "__pycache__" not in name
        if kept and os.path.lexists(path) and os.access(path, os.R_OK):
            yield _merged(name), path


def _merged(name: str) -> str:
    top, _, rest = name.partition("/")
    return f"usr/{name}" if rest and top in MERGED and Path("/", top).is_symlink() else name


def site_files(distributions: list[importlib.metadata.Distribution]) -> Iterator[tuple[str, Path]]:
    """Name in the image and path here of the distributions' files, with their compiled forms."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    target = f"usr/local/lib/python{version}/dist-packages"
    for distribution in distributions:
        for file in distribution.files or ():
            name = file.as_posix()
            if name.startswith((*LEFT_OUT_OF_SITE, "../", "/")) or "/tests/" in name:
                continue
            path = Path(str(distribution.locate_file(file)))
            if path.is_file():
                yield f"{target}/{name}", path
