"""Executor ``local``: programs as subprocesses of this host, in the running interpreter."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ExecutorError, UsageError
from energy_plugin.run.executors.protocols import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from energy_plugin.declare.case import Program
    from energy_plugin.declare.catalog import Catalog
    from energy_plugin.run.data import DataStore

PASSED_ON = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME")
PASSED_ON_PREFIXES = ("CUDA_", "NVIDIA_", "OMP_", "MKL_", "WATTWHY_")
TERM_GRACE_S = 5.0


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

    def start(self, on_exit: Callable[[], None]) -> None:
        """Spawn it; a thread waits for its end and stamps the time."""
        t0_ns = time.monotonic_ns()
        try:
            with self.log.open("ab") as log:
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
        """Wait for the end; what the program left running in its group is killed."""
        now = time.monotonic_ns()
        if self._waiter is None:
            return Exit(code=None, t0_ns=now, t1_ns=now, reason=self._reason or "not-started")
        self._waiter.join()
        self._signal(signal.SIGKILL)
        assert self._exit is not None
        return self._exit


class LocalExecutor:
    """Runs ``train.py`` with this interpreter; needs the extra ``train``."""

    name = "local"

    def __init__(self, catalog: Catalog, data: DataStore) -> None:
        self._catalog = catalog
        self._data = data

    def check(self, repositories: Mapping[str, Any]) -> None:
        """Import the frameworks once: proves they are there and warms the disk cache for all cases."""
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
        self._data.check(repositories)

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
        known = repository.models[program.model].hyperparameters
        output = folder / "output"
        output.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-u", str(repository.program), "--model", program.model]
        argv += ["--data", str(self._data.folder(program.repository)), "--output", str(output)]
        for name in sorted(program.passed):
            argv += [known[name].flag, repr(program.values[name])]
        if program.limit is not None:
            argv += ["--limit", str(program.limit)]
        name = "training" if program.role == "a" else f"training_{program.role}"
        return LocalJob(argv, self._environment(repository.folder, go), folder, name)

    def _environment(self, folder: Path, go: Path | None) -> dict[str, str]:
        env = {
            name: value
            for name, value in os.environ.items()
            if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
        }
        # One thread: two intra-op threads on two busy cores are 5 to 50 times slower.
        env.setdefault("OMP_NUM_THREADS", "1")
        env |= {"LC_ALL": "C.UTF-8", "PYTHONPATH": str(folder.parent / "base")}
        return env | ({"WATTWHY_GO": str(go)} if go else {})

    def clean(self) -> int:
        """Nothing outlives a local session: jobs end with their process group."""
        return 0

    def close(self) -> None:
        """Nothing is held."""
