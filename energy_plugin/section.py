"""A section of code that is measured, and what it cost."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from energy_plugin import lane
from energy_plugin.calls import wrapped
from energy_plugin.errors import EnergyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from energy_plugin.record.record import Record
    from energy_plugin.run.executors.body import BodyJob

P = ParamSpec("P")
R = TypeVar("R")

MOST_INNER = 1000
"""A section answers for so many sections within it; each is a window asked of every channel."""


class Section:
    """One section of code and, after its end, what it cost.

    :func:`~energy_plugin.measuring.measure` and the fixture ``joules`` make it. While another section of
    this process is measured, in whichever thread, a section is a window of that one and gets its joules
    when that one ends: ``status`` is ``pending`` until then.

    Attributes:
        metrics: final metrics to record: set ``m.metrics["accuracy"] = 0.9`` before the end.
        record: everything that was recorded, None before the end or where it could not be kept.
        folder: of the session, None before the begin and of a section within another.
        window: name of the record's window that holds this section.
        duration_s: seconds between begin and end, by this process's own clock.
        status: ``new``, ``running``, ``pending``, then that of ``energy_j``: ``measured``,
            ``partial``, ``estimated`` (a share of the surrounding section) or ``unavailable``.
        reason: why the status is not ``measured``.
        energy_j: joules of package, memory and GPUs by direct meters; None where unavailable.
        lo_j, hi_j: hard bounds of ``energy_j``.
        estimates_j: joules by estimator, such as ``{"codecarbon": 57.1}``; never in ``energy_j``.
        result: what a function returned that was run by ``joules.measure``.
        shared_with: other measured runs on this host at the same time, by name and process id.
    """

    def __init__(
        self,
        name: str,
        values: Mapping[str, object],
        find_lane: Callable[[], lane.Lane],
        *,
        facts: Mapping[str, Any],
        told: Callable[[Section], None],
    ) -> None:
        from energy_plugin.run.code import clean_name, sorted_values

        self.name = name
        clean_name(name)
        self._values, labels = sorted_values(values)
        self._find_lane = find_lane
        self._told = told
        self._facts = {**facts, **({"labels": labels} if labels else {})}
        self._reset("new")

    def _reset(self, status: str) -> None:
        self.metrics: dict[str, float] = {}
        self.record: Record | None = None
        self.window = "process"
        self.duration_s: float | None = None
        self.status = status
        self.reason = ""
        self.energy_j: float | None = None
        self.lo_j: float | None = None
        self.hi_j: float | None = None
        self.estimates_j: dict[str, float] = {}
        self.result: Any = None
        self.shared_with: tuple[str, ...] = ()
        self._running = False
        self._pid = os.getpid()
        self.folder: Path | None = None
        self._going: lane.Going | None = None
        self._job: BodyJob | None = None
        self._outer: Section | None = None
        self._inner: list[Section] = []
        self._phases: set[str] = set()
        self._epochs = 0
        self._t0_ns = self._epoch_ns = self._split_ns = 0

    # --- begin and end ------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._running:
            raise UsageError(f"{self.name}: is running already; make another with measure()")
        self._reset("running")
        with lane.HERE.lock:
            self._outer = lane.HERE.owner
            if self._outer is None:
                lane.HERE.owner = self
        if self._outer is None:
            self._open()
        self._running = True
        self._t0_ns = self._epoch_ns = self._split_ns = time.monotonic_ns()
        return self

    def start(self) -> Self:
        """Begin without ``with``; an exception before :meth:`stop` leaves the section open."""
        return self.__enter__()

    def stop(self) -> Record | None:
        """End what :meth:`start` began; the record, None where it could not be kept."""
        if not self._running:
            raise UsageError(f"{self.name}: is not running")
        self.__exit__(None, None, None)
        return self.record

    def left_open(self) -> None:
        """The process ends and nobody has stopped it."""
        self._say("NOT RECORDED: it was started and never stopped")

    def _open(self) -> None:
        try:
            found = self._find_lane()
            self.folder = found.folder
            self._going = found.begin(self.name, self._values, self._facts)
            self._enter(self._going)
        except BaseException:
            self.status = "new"
            self._release()
            raise

    def _enter(self, going: lane.Going) -> None:
        """From here on nothing of ours may stop the code: what fails is said, and it runs unmeasured."""
        try:
            self._job = going.open()
        except (EnergyError, OSError, RuntimeError) as error:
            self._lose(str(error))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        t1_ns = time.monotonic_ns()
        if os.getpid() != self._pid:
            return  # a forked child leaves the section: it is its parent's
        self.duration_s = (t1_ns - self._t0_ns) / 1e9
        self._running = False
        if self._outer is not None:
            self._leave_inner(t1_ns)
        elif self._job is not None and self._going is not None:
            self._leave(t1_ns, error, self._job, self._going)
        else:
            self._release()

    def _leave(self, t1_ns: int, error: BaseException | None, job: BodyJob, going: lane.Going) -> None:
        self._job = None
        try:
            job.mark("end", t_ns=t1_ns, metrics=self._numbers(self.metrics))
        except OSError as fault:
            self._say(f"its metrics could not be written: {fault}")
        try:
            job.leave(t1_ns, *_judged(error))
            self.record = going.record()
        except (EnergyError, OSError, RuntimeError) as fault:
            self._lose(str(fault))
        finally:
            self._release()
        for section in (self, *self._inner):
            section._settle(self.record)
        self._told(self)

    def _release(self) -> None:
        with lane.HERE.lock:
            if lane.HERE.owner is self:
                lane.HERE.owner = None

    def _lose(self, why: str) -> None:
        self.status, self.reason = "unavailable", why
        self._say(f"NOT MEASURED: {why}")

    def _say(self, text: str) -> None:
        print(f"wattwhy: {self.name}: {text}", file=sys.stderr)

    # --- a section within another ---------------------------------------------------------------

    def _leave_inner(self, t1_ns: int) -> None:
        outer = self._outer
        assert outer is not None
        name = outer._phase(self.name, self._t0_ns, t1_ns, inner=self)
        if name is None:
            self.status = "unavailable"
            self.reason = (
                f"it outlived {outer.name}, which has the meters, or that holds {MOST_INNER} sections"
            )
        else:
            self.status, self.window = "pending", f"phase:{name}"
            self.reason = f"answered when {outer.name} ends"

    def _phase(self, name: str, t0_ns: int, t1_ns: int, inner: Section | None = None) -> str | None:
        """Write a phase; the name that it got, None where this section takes none any more."""
        with lane.HERE.lock:
            if self._job is None or len(self._inner) >= MOST_INNER:
                return None
            again = itertools.chain([name], (f"{name}#{n}" for n in itertools.count(2)))
            own = next(one for one in again if one not in self._phases)
            self._phases.add(own)
            if inner is not None:
                self._inner.append(inner)
            with contextlib.suppress(OSError):
                self._job.mark("phase", name=own, start_ns=max(t0_ns, self._t0_ns), t_ns=t1_ns)
            return own

    def _settle(self, record: Record | None) -> None:
        """Take the numbers from the record."""
        from energy_plugin.receipt import of_window

        if record is None:
            self.status, self.reason = "unavailable", self.reason or "the surrounding section was not kept"
            return
        self.record = record
        whole, estimates = of_window(record, self.window)
        self.status, self.reason = whole.status, whole.reason
        self.energy_j, self.lo_j, self.hi_j = whole.joules, whole.lo_j, whole.hi_j
        self.estimates_j = {n: e.joules for n, e in estimates.items() if e.joules is not None}
        self.shared_with = tuple(record.provenance.get("shared_with", ()))

    # --- marks ----------------------------------------------------------------------------------

    def epoch(self, loss: float | None = None, **metrics: float) -> None:
        """Say that an epoch ended: it is measured by itself, from the end of the one before.

        Args:
            loss: its mean loss, for the convergence epoch.
            metrics: what else is known now.
        """
        now_ns = time.monotonic_ns()
        start_ns, self._epoch_ns = self._epoch_ns, now_ns
        self._epochs += 1
        if self._outer is not None:
            self._outer._phase(f"{self.name}/epoch:{self._epochs}", start_ns, now_ns)
        elif self._job is not None:
            fields: dict[str, Any] = {"number": self._epochs, "start_ns": start_ns, "t_ns": now_ns}
            fields |= self._numbers({} if loss is None else {"loss": loss})
            with contextlib.suppress(OSError):  # a full disk is told at the end
                self._job.mark("epoch", **fields, metrics=self._numbers(metrics))

    def split(self, name: str) -> None:
        """Say that a part ended and what it was: since the last ``split``, or since the begin.

        Epochs that follow begin here, so that what was done before them is none of theirs.
        """
        now_ns = time.monotonic_ns()
        start_ns, self._split_ns, self._epoch_ns = self._split_ns, now_ns, now_ns
        if self._outer is not None:
            self._outer._phase(f"{self.name}/{name}", start_ns, now_ns)
        else:
            self._phase(name, start_ns, now_ns)

    def _numbers(self, values: Mapping[str, object]) -> dict[str, float | None]:
        """Each as a float; None where it is not finite. What is no number is left out, and said."""
        found: dict[str, float | None] = {}
        for name, value in values.items():
            try:
                number = float(value)  # type: ignore[arg-type]
            except (TypeError, ValueError, OverflowError):
                self._say(f"{name} = {value!r} is no number and is not recorded")
                continue
            found[str(name)] = number if math.isfinite(number) else None
        return found

    # --- afterwards -----------------------------------------------------------------------------

    def energy_of(self, window: str) -> float | None:
        """Joules of a window by its name (``epoch:3``, ``phase:load``), None where unavailable."""
        from energy_plugin.receipt import of_window

        return of_window(self.record, window)[0].joules if self.record is not None else None

    def summary(self) -> str:
        """The table of readings, as text of some lines."""
        from energy_plugin.receipt import table

        if self.record is None or self.folder is None:
            return f"{self.name}: {self.status}{f': {self.reason}' if self.reason else ''}"
        return "\n".join(table(self.record, self.folder))

    # --- as a decorator -------------------------------------------------------------------------

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Measure every call of *function*; the last call's section is its attribute ``measured``.

        Raises:
            TypeError: a generator, whose work happens after its call.
        """
        if (code := getattr(function, "__code__", None)) is not None:
            self._facts = {**self._facts, "file": code.co_filename, "line": code.co_firstlineno}
        return wrapped(function, self._again)

    def _again(self) -> Section:
        """A fresh section like this one: calls may be nested, and go on in several threads."""
        section = Section(self.name, self._values, self._find_lane, facts=self._facts, told=self._told)
        section.metrics = dict(self.metrics)
        return section


def _judged(error: BaseException | None) -> tuple[int, str]:
    """Exit code and reason of a body that ended so."""
    match error:
        case None:
            return 0, ""
        case SystemExit():
            code = error.code
            return (code, "") if isinstance(code, int) else (int(code is not None), "")
        case KeyboardInterrupt():
            return 1, "interrupted"
        case _:
            first = next(iter(str(error).splitlines()), "")
            return 1, f"exception: {type(error).__name__}: {first}"
