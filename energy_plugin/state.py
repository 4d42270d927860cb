"""What the plugin knows about one pytest invocation; the hooks in plugin.py delegate here."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin import reporting
from energy_plugin.errors import EnergyError, UsageError
from energy_plugin.selection import Selection, case_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from energy_plugin.declare.case import Case
    from energy_plugin.declare.catalog import Catalog
    from energy_plugin.lane import Lane
    from energy_plugin.meters.protocols import Meter
    from energy_plugin.options import Options
    from energy_plugin.record.record import Record
    from energy_plugin.run.executors.protocols import Executor
    from energy_plugin.run.past import PastRun
    from energy_plugin.run.session import Session
    from energy_plugin.run.weights import Weights

ASK_S = 3600.0
"""Beyond this expected time a plain run shows its plan and wants --energy-yes."""
EXIT_REPORT = 9
"""Exit code when everything passed but the analysis failed; the measurements are kept."""
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class State:
    """Options, catalogue and, once cases run, the session.

    Attributes:
        selection: the cases that are declared.
        compared_value: column that the benchmarks given to --benchmark-compare hold.
        report: the page, once written.
        lane: measures the sections of the fixture ``joules``, once one was asked for.
    """

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self.selection = Selection(config, options)
        self.session: Session | None = None
        self.compared_value = ""
        self.report: Path | None = None
        self._handlers: dict[int, Any] = {}
        self._plugins: list[object] = []
        self.lane: Lane | None = None
        self._only_sections = False

    @property
    def options(self) -> Options:
        """Those of the command line and the ini file, and what a settings file wishes beside them."""
        return self.selection.options

    @property
    def catalog(self) -> Catalog:
        """The repositories that cases may use."""
        return self.selection.catalog

    # --- begin --------------------------------------------------------------------------------

    def begin(self, session: pytest.Session) -> bool | None:
        """Make the session if there are cases; True stops pytest after showing the plan."""
        cases = [case for item in session.items if (case := case_of(item))]
        if not cases:
            for line in self.selection.lines():
                self.write(f"energy: {line}")
            return None
        made = self._session(cases)
        past = self._past(made)
        try:
            if self.options.resume:
                made.look_back()
                self._deselect_finished(session, made)
            seconds = made.left_s()
            if self.options.plan or (not self.options.yes and (seconds or 0.0) > ASK_S):
                shown = self._show_plan(made, past)
                made.close()
                return shown
            self.enter(made)
        except BaseException:
            made.close()
            raise
        self._show_header(made)
        return None

    def _deselect_finished(self, session: pytest.Session, made: Session) -> None:
        """What the resumed session holds is not run again; a session with nothing left is no error."""
        finished = set(map(id, made.continued.finished)) if made.continued else set()
        over = [item for item in session.items if id(case_of(item)) in finished]
        self.selection.deselect(session.items, over)
        session.testscollected = len(session.items) or session.testscollected

    def enter(self, made: Session, *, only_sections: bool = False) -> None:
        """Begin *made* and make it the session of this invocation.

        Args:
            made: a session.
            only_sections: it has no cases but the sections of ``joules``.
        """
        self._catch_signals()
        made.tell = self._tell
        try:
            made.begin(self.compared_value)
        except BaseException:  # Ctrl-C, too: the host is to be given back
            made.close()
            raise
        self.session = made
        self._only_sections = only_sections
        self._register(made)

    def _session(self, cases: Sequence[Case]) -> Session:
        from energy_plugin.clock import SystemClock
        from energy_plugin.run.data import DataStore
        from energy_plugin.run.session import Session
        from energy_plugin.run.weights import Weights

        self.data = DataStore(self.catalog, self.options.data)
        weights = Weights(self.options.weights)
        weights.check(program for case in cases for program in case.programs)
        if self.options.checkout:
            from energy_plugin.run.checkout import check_cases

            check_cases(self.catalog, cases, self.data)
        return Session(
            options=self.options,
            catalog=self.catalog,
            executor=self._executor(weights),
            weights=weights,
            meters=self.meters(),
            clock=SystemClock(),
            plan=cases,
            root=self.config.inipath.parent if self.config.inipath else self.config.invocation_params.dir,
        )

    def _executor(self, weights: Weights) -> Executor:
        if self.options.executor == "docker":
            from energy_plugin.run.executors.container import limits
            from energy_plugin.run.executors.docker import DockerExecutor

            given = self.options
            most = limits(given.memory, given.cpus, given.timeout, given.gpus)
            return DockerExecutor(self.catalog, self.data, most, weights)
        from energy_plugin.run.executors.local import LocalExecutor

        return LocalExecutor(self.catalog, self.data, weights)

    def meters(self) -> list[Meter]:
        """The chosen ones and those that other plugins bring."""
        from energy_plugin.meters.select import meters_of

        own = meters_of(self.options)
        further = self.config.hook.pytest_energy_meters(config=self.config)
        return [*own, *(meter for some in further for meter in some)]

    def _past(self, made: Session) -> list[PastRun]:
        """Runs of earlier sessions in the same results folder, which the new one expects the like of."""
        from energy_plugin.run.host import simulated_by
        from energy_plugin.run.past import past_runs

        given = self.options
        past = past_runs(given.results, executor=given.executor, simulated=simulated_by())
        made.progress.expectation.learn_past(self.catalog, past)
        return past

    def _show_plan(self, made: Session, past: Sequence[PastRun]) -> bool:
        from energy_plugin.planview import plan_lines
        from energy_plugin.run.plan import plan_of

        plan = plan_of(
            made.left(),
            self.catalog,
            made.progress.expectation,
            past,
            self.options.results,
            noise=self.options.noise,
            effect=self.options.effect,
        )
        for line in [*self.selection.lines(), *made.notes()]:
            self.write(f"energy: {line}")
        for line in plan_lines(plan, self.options):
            self.write(line)
        if not self.options.plan:
            pytest.exit(
                "more than an hour is expected: add --energy-yes to run all of it, "
                "or select less with -k, -m or --energy-limit",
                returncode=pytest.ExitCode.USAGE_ERROR,
            )
        return True

    def _show_header(self, session: Session) -> None:
        from energy_plugin.terminal import header

        models = {(p.repository, p.model) for case in session.plan for p in case.programs}
        folders = {name: self._data_of(name, {m for n, m in models if n == name}) for name, _ in models}
        for line in (*(f"energy: {line}" for line in self.selection.lines()), *header(session, folders)):
            self.write(line)

    def _data_of(self, name: str, models: set[str]) -> str:
        repository = self.catalog.repositories[name]
        if not repository.original:
            missing = self.options.data and not self.data.own(name)
            note = f" (OURS: {self.options.data} has no folder {name})" if missing else ""
            return f"{self.data.folder(name)}{note}"
        from energy_plugin.run.checkout import data_of

        found = [data_of(repository, model, self.data).folder for model in sorted(models)]
        return ", ".join(dict.fromkeys(str(folder or "in the checkout") for folder in found))

    def _register(self, session: Session) -> None:
        manager = self.config.pluginmanager
        self._plugins += [] if self._only_sections else [ProgressLines(self, session)]
        if manager.hasplugin("benchmark"):
            from energy_plugin.bench import Guest

            self._plugins.append(Guest(session.value))
        for plugin in self._plugins:
            manager.register(plugin)

    def _catch_signals(self) -> None:
        """SIGTERM (CI, Slurm) and SIGHUP end pytest as Ctrl-C does: with journal and report."""

        def interrupt(number: int, frame: object) -> None:
            raise KeyboardInterrupt

        for number in ENDING_SIGNALS:
            self._handlers[number] = signal.signal(number, interrupt)

    # --- cases --------------------------------------------------------------------------------

    def carry(self, record: Record, request: pytest.FixtureRequest) -> None:
        """Hand the value to pytest-benchmark, where that is loaded."""
        if self.session is not None and self.config.pluginmanager.hasplugin("benchmark"):
            from energy_plugin.bench import carry

            carry(record, request, self.session.value)

    def measure(self, case: Case, item: pytest.Item) -> Record:
        """Run one case in the session and note its status word on the test."""
        from energy_plugin.terminal import PROPERTY, status_word

        assert self.session is not None, "measure is used outside of a session"
        if self.lane is not None and self.lane.busy:
            raise UsageError(f"{case.id}: a case needs the meters that an open section of joules has")
        record = self.session.measure(case)
        item.user_properties.append((PROPERTY, status_word(record)))
        self.config.hook.pytest_energy_case_done(config=self.config, record=record)
        return record

    def failure(self, record: Record) -> str:
        """What a failed case shows: the reason of every program and the tail of its log."""
        from energy_plugin.run.outcome import log_tail

        assert self.session is not None
        logs = [self.session.folder / outcome.log for outcome in record.outcomes if not outcome.success]
        tails = [f"--- {path}\n{log_tail(path)}" for path in logs]
        return "\n".join([f"{record.case.id}, attempt {record.attempt}: {record.failure}", *tails])

    # --- end ----------------------------------------------------------------------------------

    def finish(self, exit_code: int) -> int:
        """Close the session's files and analyse them; the exit code pytest should end with."""
        if self.session is None:
            return exit_code
        try:
            self.session.finish(exit_code)
        except EnergyError as error:
            self.write(f"energy: {error}")
            return exit_code or EXIT_REPORT
        finally:
            self.session.close()
        due = self.session.due and not self._only_sections
        wanted = self.options.report == "always" or (self.options.report == "auto" and due)
        if wanted and not self._analyse(self.session, interrupted=exit_code == pytest.ExitCode.INTERRUPTED):
            return exit_code or EXIT_REPORT
        return exit_code

    def _analyse(self, session: Session, *, interrupted: bool) -> bool:
        """Write the page; without one the measurements are kept."""
        engine = "exact" if interrupted else "dibs"
        self.write(f"energy: analysing: python -m causal_report {session.folder} --engine {engine}")
        try:
            found = reporting.analyse(session.folder, engine)
        except KeyboardInterrupt:
            self.write("energy: analysis abandoned; the journal is whole, run the command above for the page")
            return True
        if found.page is None:
            self.write(f"energy: the analysis failed with exit code {found.exit_code}; measurements are kept")
        for line in found.said:
            self.write(f"energy:   {line}")
        self.report = found.page
        return found.page is not None

    def summarise(self) -> None:
        """The section of the terminal summary."""
        if self.session is None:
            return
        from energy_plugin.terminal import summary

        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.section("energy")
            for line in summary(self.session):
                reporter.line(line)

    def close(self) -> None:
        """Restore signals, release meters, and say last where the report is."""
        for plugin in self._plugins:
            if self.config.pluginmanager.is_registered(plugin):
                self.config.pluginmanager.unregister(plugin)
        for number, handler in self._handlers.items():
            with contextlib.suppress(ValueError):
                signal.signal(number, handler)
        self._handlers = {}
        if self.session is not None:
            self.session.close()
        if self.report is not None:
            latest = self.report.parent.parent / "latest" / self.report.name
            self.write(f"report: {latest if latest.exists() else self.report}")

    def _tell(self, line: str) -> None:
        """During a test, too, whose output is captured."""
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            self.write(f"energy: {line}")

    def write(self, line: str) -> None:
        """One line on the terminal, outside of any capture; nothing under -p no:terminal."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(line)


STATE: pytest.StashKey[State] = pytest.StashKey()


class ProgressLines:
    """One line after each case: how far the session is, and which case is next."""

    def __init__(self, state: State, session: Session) -> None:
        self._state = state
        self._session = session
        self._shown = session.cases_done

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """After a case, if it was run or counted; the next one's rest begins at the time told."""
        result = yield
        if self._session.cases_done > self._shown:
            from energy_plugin.terminal import progress_line

            self._shown = self._session.cases_done
            self._state.write(progress_line(self._session, case_of(nextitem) if nextitem else None))
        return result
