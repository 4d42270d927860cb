"""Shared by all tests: what a marker needs, what CI counts, and a project that uses the plugin."""

from __future__ import annotations

import csv
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import tinyimages

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

pytest_plugins = ["pytester", "tests.engine", "tests.boxes"]

ROOT = Path(__file__).resolve().parents[1]

# Started with "&" or nohup by a script: what tests interrupt or hang up would inherit the ignored signal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

LOCKS = Path(tempfile.mkdtemp(prefix="wattwhy-locks-"))
_lock_numbers = itertools.count(1)
# Sessions that tests begin are no measurements: they may run beside each other, and beside a real one.
os.environ["WATTWHY_LOCK"] = str(LOCKS / "host.lock")

IN_CI = os.environ.get("WATTWHY_CI") == "1"
COUNTED: dict[str, int] = {}


NEEDS: dict[str, Callable[[], object]] = {
    "root": lambda: os.geteuid() == 0,
    "perf": lambda: shutil.which("perf"),
    "compiler": lambda: shutil.which("gcc"),
    "chromium": lambda: shutil.which("chromium"),
    "train": lambda: find_spec("torch"),
}
"""What a test with this marker cannot do without."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, saying why."""
    for name, there in NEEDS.items():
        if item.get_closest_marker(name) and not there():
            pytest.skip(f"marker {name}: not to be had here")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skip is a failure, except of tests on published data that may be absent."""
    report = yield
    if IN_CI and report.skipped and not item.get_closest_marker("data"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is not allowed in CI: {report.longrepr}"
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count in the process that reports: with ``-n`` tests run in others."""
    if report.when == "call" and not report.skipped:
        for name in ("all", *(name for name in expected_counts() if name in report.keywords)):
            COUNTED[name] = COUNTED.get(name, 0) + 1


@pytest.fixture(autouse=True)
def own_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host's lock for each test: what one leaves running keeps no other out."""
    monkeypatch.setenv("WATTWHY_LOCK", str(LOCKS / f"{next(_lock_numbers)}.lock"))


def pytest_unconfigure() -> None:
    """The locks are the tests' own."""
    shutil.rmtree(LOCKS, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many tests ran of each marker that CI counts on."""
    expected = expected_counts()
    if expected:
        shown = ", ".join(f"{name} {COUNTED.get(name, 0)} (at least {n})" for name, n in expected.items())
        terminalreporter.line(f"tests run by marker: {shown}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Too few tests of a marker: something they need is missing, and nothing said so."""
    if hasattr(session.config, "workerinput"):
        return
    if session.exitstatus == 0 and any(COUNTED.get(name, 0) < n for name, n in expected_counts().items()):
        session.exitstatus = 1


def expected_counts() -> dict[str, int]:
    """``WATTWHY_CI_COUNTS="root:4 chromium:2"`` as numbers."""
    pairs = (part.split(":") for part in os.environ.get("WATTWHY_CI_COUNTS", "").split())
    return {name: int(number) for name, number in pairs}


@pytest.fixture
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like ``images/`` with the repository ``tiny``."""
    return tinyimages.write(tmp_path_factory.mktemp("images"))


@dataclass
class Project:
    """A user's project with the plugin, run as a user would: pytest in a process of its own."""

    folder: Path
    images: Path
    environment: dict[str, str]

    def declare(self, body: str, name: str = "test_study.py") -> Path:
        """Write a test module that may use experiments, defaults, one_at_a_time, joint."""
        path = self.folder / name
        imports = "from energy_plugin import defaults, experiments, from_options, joint, one_at_a_time\n\n"
        path.write_text(imports + body)
        return path

    def case(self, *models: str, replicates: int = 1) -> Path:
        """Declare the defaults of some models of ``tiny``."""
        listed = ", ".join(repr(f"tiny/{model}") for model in models)
        return self.declare(
            f"@experiments({listed}, replicates={replicates})\n"
            "def test_case(case, measure):\n    assert measure(case).success\n"
        )

    def command(self, *arguments: str) -> list[str]:
        """The command line: meters that need nothing, and no report unless asked for."""
        defaults = {
            "--energy-images": str(self.images),
            "--energy-meters": "calculator",
            "--energy-report": "never",
            "--energy-retries": "0",
        }
        # With '=': pytest takes a value that stands alone for a path when it looks for its rootdir.
        given = [f"{name}={value}" for name, value in defaults.items() if name not in arguments]
        return [sys.executable, "-m", "pytest", *given, *arguments]

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run pytest to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=cwd or self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start pytest, to be signalled."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def session(self) -> Path:
        """The newest session folder."""
        return (self.folder / "results" / "latest").resolve()


@pytest.fixture
def project(tmp_path: Path, images: Path) -> Project:
    """An empty project folder; loads the plugin whether it is installed or not."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "conftest.py").write_text('pytest_plugins = ["energy_plugin.plugin"]\n')
    (folder / "pytest.ini").write_text("[pytest]\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    environment = kept | {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path),  # where measured runs see each other: other tests are none of ours
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return Project(folder, images, environment)


def summary(session: Path) -> list[dict[str, str]]:
    """The rows of a session's ``summary.csv``."""
    with (session / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def lines_with(text: str, *parts: str) -> Sequence[str]:
    """The lines of *text* that hold every part."""
    return [line for line in text.splitlines() if all(part in line for part in parts)]
