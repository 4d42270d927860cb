"""Executor ``local``: programs as subprocesses of this host, in the running interpreter."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import signal
import site
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from energy_plugin.errors import ExecutorError, UsageError
from energy_plugin.run import checkout
from energy_plugin.run.executors import invocation, orphans, proctree
from energy_plugin.run.executors.keeper import Keeper
from energy_plugin.run.executors.owner import owner, read_owner
from energy_plugin.run.executors.protocols import Exit, Used
from energy_plugin.run.logmarks import pipe_chunks, tee
from energy_plugin.run.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from energy_plugin.declare.case import Program
    from energy_plugin.declare.catalog import Catalog, Repository
    from energy_plugin.run.data import DataStore
    from energy_plugin.run.logmarks import LogMarks

PASSED_ON = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME")
PASSED_ON_PREFIXES = ("CUDA_", "NVIDIA_", "OMP_", "MKL_", "WATTWHY_")
TO_ORIGINALS = ("PYTHONPATH", "TORCH_HOME", "HF_HOME", "NLTK_DATA")
TERM_GRACE_S = 5.0
LOG_GRACE_S = 5.0
"""What left the process group can hold a log open for ever; it is waited for no longer than this."""


class LocalJob:
    """One program as a process group of its own."""

    def __init__(self, argv: list[str], env: Mapping[str, str], folder: Path, name: str) -> None:
        self.log = folder / f"{name}.log"
        self.events = folder / f"{name}.events.jsonl"
        self._argv = argv
        self._env = {**env, "WATTWHY_EVENTS": str(self.events)}
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._waiter: threading.Thread | None = None
        self._exit: Exit | None = None
        self._reason = ""
        self._closed = False

    def start(self, on_exit: Callable[[], None]) -> None:
        """Spawn it; a thread waits for its end and stamps the time."""
        t0_ns = time.monotonic_ns()
        try:
            with self._output() as log:
                self._process = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    cwd=self._folder,
                    start_new_session=True,
                )
        except OSError as error:
            raise ExecutorError(f"{self._argv[0]}: {error.strerror}") from error
        spawned_ns = time.monotonic_ns()
        self._waiter = threading.Thread(
            target=self._wait, args=(self._process, t0_ns, spawned_ns - t0_ns, on_exit), daemon=True
        )
        self._waiter.start()

    def _output(self) -> IO[bytes]:
        """Where the program writes its log; closed here once it has it."""
        return self.log.open("ab")

    def _wait(
        self, process: subprocess.Popen[bytes], t0_ns: int, spawn_ns: int, on_exit: Callable[[], None]
    ) -> None:
        _, status, usage = os.wait4(process.pid, 0)
        t1_ns = time.monotonic_ns()
        code = os.waitstatus_to_exitcode(status)
        process.returncode = code  # Popen must not wait for a process that is already reaped
        self._exit = Exit(
            code=code,
            t0_ns=t0_ns,
            t1_ns=t1_ns,
            unc_ns=spawn_ns,
            cpu_s=usage.ru_utime + usage.ru_stime,
            memory_peak_bytes=usage.ru_maxrss * 1024,
            reason=self._reason,
        )
        on_exit()

    def poll(self) -> Exit | None:
        """How it ended, None while it runs."""
        return self._exit

    def used(self) -> Used | None:
        """By its process tree."""
        return proctree.used(self._process.pid) if self._process is not None else None

    def kill(self, reason: str) -> None:
        """SIGTERM to the whole group, SIGKILL after a grace period."""
        self._reason = self._reason or reason
        self._signal(signal.SIGTERM)
        if self._waiter:
            self._waiter.join(TERM_GRACE_S)
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # the whole group is gone already
                os.killpg(self._process.pid, number)

    def close(self) -> Exit:
        """Wait for the end; what the program left running is killed, wherever it went."""
        now = time.monotonic_ns()
        if self._waiter is None:
            return Exit(code=None, t0_ns=now, t1_ns=now, reason=self._reason or "not-started")
        self._waiter.join()
        self._signal(signal.SIGKILL)
        if not self._closed and (mark := self._mark()):
            orphans.end(orphans.within(mark))
        self._closed = True
        assert self._exit is not None
        return self._exit

    def _mark(self) -> str:
        """What its processes carry; of a command of the user's own nothing."""
        return self._env.get(orphans.VARIABLE, "")


class OriginalJob(LocalJob):
    """The original in a copy of the user's checkout; its log passes through here and becomes events.

    Args:
        scratch: folder of the copy, removed at the end. ``facts``: for the record.
    """

    def __init__(
        self,
        script: str,
        env: Mapping[str, str],
        folder: Path,
        name: str,
        *,
        scratch: Path,
        marks: LogMarks,
        facts: Mapping[str, Any],
    ) -> None:
        super().__init__(["/bin/sh", "-c", script], env, folder, name)
        self._scratch = scratch
        self._marks = marks
        self._facts = facts
        self._reader: threading.Thread | None = None

    def _output(self) -> IO[bytes]:
        ours, theirs = os.pipe()
        arguments = (pipe_chunks(ours), self.log, self.events, self._marks)
        self._reader = threading.Thread(target=tee, args=arguments, daemon=True)
        self._reader.start()
        return os.fdopen(theirs, "wb")

    def close(self) -> Exit:
        """As of every job; then the rest of the log is read and the copy removed."""
        exit_ = super().close()
        if self._reader is not None:
            self._reader.join(LOG_GRACE_S)
        shutil.rmtree(self._scratch, ignore_errors=True)
        return replace(exit_, detail=self._facts)


class LocalExecutor:
    """Runs ``train.py`` with this interpreter; needs the extra ``train``."""

    name = "local"

    def __init__(self, catalog: Catalog, data: DataStore, weights: Weights | None = None) -> None:
        self._catalog = catalog
        self._data = data
        self._weights = weights or Weights(None)
        self._mark = str(owner())
        self._keeper = Keeper(self._mark)
        self._prepared = 0

    def check(self, repositories: Mapping[str, Any]) -> None:
        """Import the frameworks once: proves they are there and warms the disk cache for all cases.

        Programs that a dead session left running are ended.
        """
        self.clean()
        for framework in sorted({self._catalog.repositories[name].framework for name in repositories} - {""}):
            done = subprocess.run(
                [sys.executable, "-c", f"import {framework}"], capture_output=True, text=True, check=False
            )
            if done.returncode:
                why = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise UsageError(
                    f"executor local needs {framework} in {sys.executable}: {why}. "
                    "Install it: pip install 'wattwhy[train]'"
                )
        self._data.check(name for name in repositories if not self._catalog.repositories[name].original)
        self._keeper.start()

    def base(self) -> str:
        """Interpreter and torch version."""
        try:
            torch = importlib.metadata.version("torch")
        except importlib.metadata.PackageNotFoundError:
            torch = "none"
        return f"python{platform.python_version()} torch{torch}"

    def prepare(self, program: Program, folder: Path, *, go: Path | None = None) -> LocalJob:
        """Build command line and environment; nothing starts yet."""
        repository = self._catalog.repositories[program.repository]
        name = invocation.name(program)
        output = folder / "output"
        output.mkdir(parents=True, exist_ok=True)
        if repository.original:
            return self._original(repository, program, folder, name, go)
        weights = self._weights.file(program)
        arguments = invocation.arguments(
            program,
            repository.models[program.model],
            data=str(self._data.folder(program.repository)),
            output=str(output),
            weights=str(weights.resolve()) if weights else "",
        )
        argv = [sys.executable, "-u", str(repository.program), *arguments]
        base = {"PYTHONPATH": str(repository.folder.parent / "base")}
        return LocalJob(argv, self._environment(go) | base, folder, name)

    def _original(
        self, repository: Repository, program: Program, folder: Path, name: str, go: Path | None
    ) -> OriginalJob:
        """Copy the user's checkout, which takes its time before the meters start, and say how to run it."""
        table = repository.checkouts[program.model]
        data = checkout.data_of(repository, program.model, self._data)
        scratch = folder.resolve() / f"{name}.checkout"
        work, home = scratch / "work", scratch / "home"
        home.mkdir(parents=True)
        try:
            checkout.copy(Path(repository.original["folder"]), work, table, data)
        except ExecutorError:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        script = checkout.script(
            table,
            program,
            work=str(work),
            data=str(data.folder or ""),
            output=str(folder.resolve() / "output"),
        )
        marks = checkout.marks(table, program, data)
        env = self._environment(go) | self._for_original() | checkout.environment(table, str(home))
        facts = checkout.exit_facts(repository, table, script)
        return OriginalJob(script, env, folder, name, scratch=scratch, marks=marks, facts=facts)

    def _for_original(self) -> dict[str, str]:
        """This interpreter as ``python3``, and what the user's own home holds: packages and caches."""
        caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        own = {name: os.environ[name] for name in TO_ORIGINALS if name in os.environ}
        return {**own, "PATH": path, "XDG_CACHE_HOME": caches, "PYTHONUSERBASE": site.getuserbase()}

    def _environment(self, go: Path | None) -> dict[str, str]:
        env = {
            name: value
            for name, value in os.environ.items()
            if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
        }
        # One thread: two intra-op threads on two busy cores are 5 to 50 times slower.
        env.setdefault("OMP_NUM_THREADS", "1")
        env.pop("WATTWHY_GO", None)
        self._prepared += 1
        env |= {"LC_ALL": "C.UTF-8", orphans.VARIABLE: f"{self._mark}/{self._prepared}"}
        return env | ({"WATTWHY_GO": str(go)} if go else {})

    def clean(self) -> int:
        """End the programs of sessions that are dead; how many processes that were."""

        def is_orphan(mark: str) -> bool:
            session = read_owner(mark)
            return session is not None and session.is_gone() is True

        return orphans.end(is_orphan)

    def close(self) -> None:
        """End whatever is still running."""
        orphans.end(orphans.within(self._mark))
        self._keeper.close()
