"""The user's own checkout of an original project: found, checked, copied, and its log read.

It is run in place of our program where ``--energy-checkout REPOSITORY=DIR`` names it; how is said by
the table ``[checkout]`` (:mod:`energy_plugin.declare.checkout`). The user's folder is only read.

An original writes no events, so they are made from its log: every line is stamped with
CLOCK_MONOTONIC when it arrives. The window of the process stays exact; those of training and epochs
are as late as the line (buffers, the pipe, a loaded machine) and carry ``uncertainty_s``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ExecutorError, UnknownNameError, UsageError
from energy_plugin.run.host import git_facts
from energy_plugin.run.logmarks import LogMarks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from energy_plugin.declare.case import Case, Program
    from energy_plugin.declare.catalog import Catalog, Model, Repository
    from energy_plugin.declare.checkout import Checkout
    from energy_plugin.run.data import DataStore

OPTION = "--energy-checkout"
METHOD = "log-lines"
NOT_COPIED = (".git", "__pycache__")
WAIT = 'while [ -n "${WATTWHY_GO:-}" ] && [ ! -e "$WATTWHY_GO" ]; do sleep 0.01; done'
"""An original knows no barrier: in a pair its whole start waits for the other program to be ready."""


# --- which checkouts, before any run --------------------------------------------------------------


def with_checkouts(catalog: Catalog, folders: Mapping[str, Path], results: Path) -> Catalog:
    """The catalogue with originals in place of our programs.

    Their models have only the hyperparameters that the original can be told and the metrics that it
    prints, and their sources, part of every case key, are those of the checkout.

    Args:
        catalog: as read.
        folders: the user's checkouts by repository.
        results: where sessions are written.

    Raises:
        UsageError: a repository is unknown or has no table, or a folder is no checkout of it.
    """
    changed = dict(catalog.repositories)
    for name, folder in folders.items():
        if name not in changed:
            raise UnknownNameError(f"repository of {OPTION}", name, changed)
        changed[name] = _with_original(changed[name], folder.resolve(), results)
    return replace(catalog, repositories=changed)


def _with_original(repository: Repository, folder: Path, results: Path) -> Repository:
    tables = repository.checkouts
    if not tables:
        raise UsageError(f"{OPTION} {repository.name}: its repository.toml has no table [checkout]")
    wanted = sorted({_script(table) for table in tables.values()})
    if not any((folder / script).is_file() for script in wanted):
        origin = next(iter(tables.values())).origin
        raise UsageError(
            f"{OPTION} {repository.name}={folder}: no {' or '.join(wanted)} there; expected a checkout of "
            f"{origin}"
        )
    if results.resolve().is_relative_to(folder):
        raise UsageError(
            f"{OPTION} {repository.name}={folder}: the results would be written into the checkout "
            f"({results}); choose another --energy-results"
        )
    models = {name: _told(model, tables[name]) for name, model in repository.models.items()}
    return replace(repository, models=models, framework="", original=identity(folder, repository))


def _told(model: Model, table: Checkout) -> Model:
    known = {name: model.hyperparameters[name] for name in table.sets}
    epochs, cost = model.by_role("epochs"), dict(model.cost)
    if epochs and epochs.name not in known and "epoch_s" in cost:
        cost["epoch_s"] *= epochs.default  # none to set: the guess is of all it will run
    return replace(model, original=True, hyperparameters=known, metrics=table.patterns.metrics, cost=cost)


def _script(table: Checkout) -> str:
    return (Path(table.workdir) / table.script).as_posix()


def identity(folder: Path, repository: Repository) -> dict[str, Any]:
    """Commit, whether it is dirty, and a hash over the files and the table that runs them.

    Files are those git knows or does not ignore; all but hidden ones where *folder* is no checkout
    of git's by itself.
    """
    listed = _git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    top = _git(folder, "rev-parse", "--show-toplevel")
    own = listed is not None and top is not None and Path(top.strip()).resolve() == folder
    if own and listed is not None:
        files = sorted({folder / name for name in listed.split("\0") if name})
    else:
        files = [path for path in sorted(folder.rglob("*")) if not _hidden(path.relative_to(folder))]
    digest = hashlib.sha256((repository.folder / "repository.toml").read_bytes())
    for path in files:
        if path.is_symlink() or path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + _digest(path))
    facts = git_facts(folder) if own else {"sha": None, "dirty": None}
    first = next(iter(repository.checkouts.values()))
    return {
        "folder": str(folder),
        "commit": facts["sha"],
        "dirty": facts["dirty"],
        "sources": digest.hexdigest(),
        "origin": first.origin,
        "commit_read": first.commit,
    }


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, None where it says nothing: not installed, no checkout, not ours to read."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
    except OSError:
        return None
    return None if done.returncode else done.stdout


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def _digest(path: Path) -> bytes:
    if path.is_symlink():
        return os.readlink(path).encode()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def check_cases(catalog: Catalog, cases: Iterable[Case], data: DataStore) -> None:
    """Refuse what an original cannot do, before any run.

    Raises:
        UsageError: the model's script is missing, a value is below the original's minimum, rows are
            to be limited, or the original needs data that are not there.
    """
    checked = set()
    for program in (program for case in cases for program in case.programs):
        repository = catalog.repositories[program.repository]
        if not repository.original:
            continue
        table = repository.checkouts[program.model]
        _check_program(program, table, Path(repository.original["folder"]))
        if program.model not in checked:
            checked.add(program.model)
            data_of(repository, program.model, data)


def _check_program(program: Program, table: Checkout, folder: Path) -> None:
    said = f"{OPTION} {program.repository}={folder}, model {program.model}"
    if not (folder / _script(table)).is_file():
        raise UsageError(f"{said}: no {_script(table)} there; expected a checkout of {table.origin}")
    if program.limit is not None:
        raise UsageError(f"{said}: the original cannot limit its rows to {program.limit}; leave limit away")
    for name, least in table.minimum.items():
        if float(program.values[name]) < least:
            raise UsageError(
                f"{said}: {name} {program.values[name]!r} is below the original's least, {least:g}"
            )


# --- data -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Data:
    """Where the data of a run come from.

    Attributes:
        folder: our prepared or the user's data folder; None: all of it is in the checkout.
        source: ``checkout``, ``user``, or what ``source.json`` calls our data.
    """

    folder: Path | None
    source: str


def data_of(repository: Repository, model: str, store: DataStore) -> Data:
    """The user's ``--energy-data`` first, then what the checkout holds, then our small data.

    Raises:
        UsageError: the original can use none of them.
    """
    table, folder = repository.checkouts[model], Path(repository.original["folder"])
    own = store.own(repository.name)
    if not table.uses_data:
        return Data(None, "checkout")
    if own is not None:
        return Data(own, "user")
    if table.links and all((folder / path).exists() for path in table.links):
        return Data(None, "checkout")
    if not table.standin:
        places = [str(folder / path) for path in table.links]
        raise UsageError(
            f"{OPTION} {repository.name}={folder}: the original takes only the real data. Give --energy-data "
            f"DIR with DIR/{repository.name}" + (f", or put them at {', '.join(places)}" if places else "")
        )
    prepared = store.folder(repository.name)
    known = json.loads((prepared / "source.json").read_text("utf-8"))
    return Data(prepared, str(known.get(table.standin, "prepared")))


# --- the copy and its command line ----------------------------------------------------------------


def copy(source: Path, target: Path, table: Checkout, data: Data) -> None:
    """Copy the checkout without its history, and link the data into the copy.

    Raises:
        ExecutorError: a file could not be copied.
    """
    replaced = {source / path for path in table.links} if data.folder else set()

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name in NOT_COPIED or Path(folder, name) in replaced}

    try:
        shutil.copytree(source, target, symlinks=True, ignore=left_out)
        for path, inner in table.links.items():
            if data.folder:
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                (target / path).symlink_to(data.folder.resolve() / inner)
    except (OSError, shutil.Error) as error:
        raise ExecutorError(f"{source}: could not be copied to {target}: {error}") from None


def script(
    table: Checkout,
    program: Program,
    *,
    work: str,
    data: str,
    output: str,
    source: str = "",
    links: bool = True,
) -> str:
    """A script for ``sh`` that runs the original.

    Args:
        table: how.
        program: with which values.
        work: folder of the copy it runs in.
        data: the data folder as the script sees it.
        output: the folder that is kept, likewise.
        source: where given, the script first copies this read-only checkout to *work*.
        links: with *source*, also link *data* into the copy; False where the checkout has its own.
    """
    lines = ["set -e"]
    if source:
        lines += copying(table, source=source, work=work, data=data if links else "")
    lines += [WAIT, f"cd {shlex.quote(work)}/{shlex.quote(table.workdir)}", "set +e"]
    lines.append(table.command(program.values, data=data, output=output))
    return "\n".join(lines)


def copying(table: Checkout, *, source: str, work: str, data: str) -> list[str]:
    """Lines for ``sh`` that do what :func:`copy` does; without *data* nothing is linked."""
    quoted, target = shlex.quote(source), shlex.quote(work)
    lines = [
        f"mkdir -p {target}",
        f"for one in {quoted}/* {quoted}/.[!.]*; do",
        f'  if [ -e "$one" ] && [ "${{one##*/}}" != .git ]; then cp -r "$one" {target}/; fi',
        "done",
    ]
    for path, inner in table.links.items() if data else ():
        link = f"{target}/{shlex.quote(path)}"
        lines.append(f'rm -rf {link} && mkdir -p "$(dirname {link})"')
        lines.append(f"ln -s {shlex.quote(data)}/{shlex.quote(inner)} {link}")
    return lines


def environment(table: Checkout, home: str) -> dict[str, str]:
    """Variables every original gets: output at once, no window, no network, a home of its own."""
    return {
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "HF_HUB_OFFLINE": "1",
        "HOME": home,
        **table.environment,
    }


def marks(table: Checkout, program: Program, data: Data) -> LogMarks:
    """What turns the original's log into events, with what ``begin`` and ``end`` say of the run."""
    begin = {
        "model": program.model,
        "values": dict(program.values),
        "passed": list(table.sets),
        "device": table.device,
        "marks": METHOD,
        "unc_ns": round(table.uncertainty_s * 1e9),
    }
    return LogMarks(table, begin=begin, end={"data_source": data.source, "weights": table.weights})


def exit_facts(repository: Repository, table: Checkout, command: str) -> dict[str, Any]:
    """What an exit says of the original that ran, for the record's provenance."""
    said = {name: repository.original[name] for name in ("folder", "commit", "dirty", "sources")}
    return {"checkout": {**said, "command": command, "marks": METHOD, "marks_unc_s": table.uncertainty_s}}
