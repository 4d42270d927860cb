"""The pytest plugin: hooks and fixtures only; everything they do lives in the other modules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.errors import EnergyError, ResultsError, UsageError
from energy_plugin.options import add_options, read_options
from energy_plugin.state import STATE, State

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from energy_plugin.declare.case import Case
    from energy_plugin.joules import Joules
    from energy_plugin.record.record import Record

EXIT_RESULTS = 8
"""Exit code when what was measured can no longer be kept (disk full, folder gone)."""

CASE_ID = re.compile(r"-(alone|pair|background)-.*-r\d+\]$")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and their ini twins."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Our own hook specifications."""
    from energy_plugin import hooks

    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options; load nothing."""
    config.addinivalue_line(
        "markers",
        "energy(repository, model, mode): a measured case; select with -m \"energy(model='mnist')\"",
    )
    config.addinivalue_line("markers", "energy_experiments(declaration): made by @experiments")
    try:
        config.stash[STATE] = State(config, read_options(config))
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Release whatever a session held."""
    if STATE in config.stash:
        config.stash[STATE].close()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A design file, a settings file or a session's journal is a test module when it is named."""
    ours = file_path.suffix in (".toml", ".json") or file_path.name == "journal.jsonl"
    if not ours or not parent.session.isinitpath(file_path):
        return None
    from energy_plugin.designfile import DesignFile, is_ours

    return DesignFile.from_parent(parent, path=file_path) if is_ours(file_path) else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Expand ``@experiments`` into cases."""
    marks = list(metafunc.definition.iter_markers("energy_experiments"))
    if marks:
        state = metafunc.config.stash[STATE]
        try:
            state.selection.parametrize(metafunc, marks)
        except EnergyError as error:
            state.selection.refusals.append(f"{metafunc.definition.nodeid}: {error}")
            metafunc.parametrize("case", [])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Less what ran before, in seeded random blocks, after every other plugin has chosen.

    A wrong declaration ends pytest here.
    """
    config.stash[STATE].selection.arrange(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(ids: list[str]) -> None:
    """Two trainings at once on one host falsify both."""
    if any(CASE_ID.search(node) for node in ids):
        pytest.exit(
            "energy cases cannot run under pytest-xdist: two trainings at once falsify both measurements. "
            "Leave -n and --dist away (or -p no:xdist).",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """With cases collected: show the plan or the header, and begin the session."""
    if session.config.option.collectonly or session.testsfailed:
        return None
    try:
        return session.config.stash[STATE].begin(session)
    except EnergyError as error:
        code = EXIT_RESULTS if isinstance(error, ResultsError) else pytest.ExitCode.USAGE_ERROR
        pytest.exit(str(error), returncode=code)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_benchmark_compare_machine_info(
    config: pytest.Config, machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
) -> None:
    """Note which quantity an earlier run holds; joules are not compared with seconds."""
    from energy_plugin.bench import VALUE_KEY

    before = compared_benchmark["machine_info"].get(VALUE_KEY)
    if before:
        machine_info[VALUE_KEY] = before
        config.stash[STATE].compared_value = before


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Callable[[Case], Record]:
    """Run a case with all meters and return its record; fails the test if the training failed."""
    state: State = request.config.stash[STATE]

    def run(case: Case) -> Record:
        try:
            record = state.measure(case, request.node)
        except ResultsError as error:
            pytest.exit(str(error), returncode=EXIT_RESULTS)
        except EnergyError as error:
            pytest.fail(str(error), pytrace=False)
        if not record.success:
            pytest.fail(state.failure(record), pytrace=False)
        state.carry(record, request)
        return record

    return run


@pytest.fixture
def joules(request: pytest.FixtureRequest) -> Joules:
    """Meters for any code of a test, as a context manager or around one call."""
    from energy_plugin.joules import joules_of

    return joules_of(request, request.config.stash[STATE])


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Joules or seconds beside PASSED in -v."""
    word = dict(report.user_properties).get("energy") if hasattr(report, "user_properties") else None
    if word and report.when == "call" and report.passed:
        return "passed", ".", f"PASSED {word}"
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Outermost, so that the session is whole even when another plugin raises here."""
    try:
        return (yield)
    finally:
        session.exitstatus = session.config.stash[STATE].finish(int(session.exitstatus))


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(config: pytest.Config) -> None:
    """First, since pytest-benchmark raises in this hook on a regression."""
    config.stash[STATE].summarise()
