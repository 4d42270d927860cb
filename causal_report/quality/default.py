"""Values recorded but never handed over: does the default hold, does handing over change anything?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal_report.quality.comparable import cells
from causal_report.quality.hit import hits
from causal_report.quality.thresholds import limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from causal_report.quality.comparable import Level
    from causal_report.quality.hit import Hit
    from causal_report.quality.view import Mask, Setting, Vector, View

PRIOR_SD = 1.0
"""Doubt about each coefficient before the data, as the outcome: what cannot be told apart stays open."""
LEAST_NOISE = {"log": 0.01, "metric": 0.1}
MOST = 4000
"""Runs of one model that are enough to tell a default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What not handing over one hyperparameter of one model does.

    Attributes:
        step: outcome where it was not handed over, less where its middle dose was; with ``error``.
        dose: change of the outcome for one more unit of dose (an e-fold where log).
        middle: the dose ``step`` is measured from; ``reach`` the range of doses handed over.
        outcome: ``duration`` or a metric's name; a metric is in its own standard deviations.
    """

    model: int
    setting: Setting
    outcome: str
    step: float
    error: float
    dose: float
    dose_error: float
    middle: float
    reach: float
    covariance: float
    n: int

    def gap(self, value: float) -> tuple[float, float]:
        """Step less what *value* would explain, and its standard error."""
        away = (float(np.log(value)) if self.setting.log else value) - self.middle
        variance = self.error**2 + (away * self.dose_error) ** 2 - 2 * away * self.covariance
        return self.step - away * self.dose, float(np.sqrt(max(variance, 1e-12)))


def steps(view: View, rows: Mask, outcome: str = "duration") -> Iterator[Step]:
    """A step for each model and hyperparameter handed over in some of *rows* and not in others.

    First over the model's runs alone, then over all of them.
    """
    y = view.log_s if outcome == "duration" else view.column(outcome)
    unsure = np.zeros(view.n, bool)
    for setting in view.settings:
        unsure |= setting.unsure & ~_varied(view, setting)
    for every in cells(view.model, rows & np.isfinite(y) & ~unsure):
        alone = every[view.alone[every]]  # an unknown load beside a run only adds noise
        for some in [alone] if len(alone) == len(every) else [alone, every]:
            if len(some) < 2 * limit("least"):
                continue
            at = some
            if len(at) > MOST:
                at = np.sort(np.random.default_rng(len(at)).choice(at, MOST, replace=False))
            z = y[at]
            if outcome != "duration":
                scale = float(np.std(z))
                if scale <= 0:
                    continue
                z = (z - z.mean()) / scale
            yield from _steps(view, at, z - np.median(z), outcome)


def _varied(view: View, setting: Setting) -> Mask:
    """Rows with a value other than the model's filled one: somebody handed it over."""
    out = np.zeros(view.n, bool)
    for at in cells(view.model, setting.filled | setting.passed):
        fill = np.unique(setting.value[at][setting.filled[at]])
        out[at] = ~np.isin(setting.value[at], fill) if len(fill) else True
    return out


def _steps(view: View, at: NDArray[np.intp], y: Vector, outcome: str) -> Iterator[Step]:
    asked = [s for s in view.settings if 3 <= int(s.passed[at].sum()) <= len(at) - 3]
    if not asked:
        return
    columns, names = [np.ones(len(at))], [("one", "", 1.0, 0.0)]
    beside = np.column_stack([view.cell[at], view.partner[at]])
    for kind in np.unique(beside, axis=0)[1:]:
        columns.append((beside == kind).all(axis=1).astype(float))
        names.append(("beside", "", 1.0, 0.0))
    for setting in view.settings:
        passed = setting.passed[at]
        if passed.any() and not setting.label_only:
            dose = setting.dose[at][passed]
            middle, reach = float(dose.mean()), float(np.ptp(dose))
            if reach > 0:
                columns.append(
                    np.where(passed, (np.where(passed, setting.dose[at], middle) - middle) / reach, 0.0)
                )
                names.append(("dose", setting.name, reach, middle))
        if passed.any() and not passed.all():
            columns.append((~passed).astype(float))
            names.append(("step", setting.name, 1.0, 0.0))
    x = np.column_stack(columns)
    beta, cov = _posterior(x, y, LEAST_NOISE["log" if outcome == "duration" else "metric"])
    place = {(kind, name): i for i, (kind, name, _, _) in enumerate(names)}
    for setting in asked:
        i, j = place["step", setting.name], place.get(("dose", setting.name))
        reach, middle = (names[j][2], names[j][3]) if j is not None else (1.0, 0.0)
        yield Step(
            model=int(view.model[at[0]]),
            setting=setting,
            outcome=outcome,
            step=float(beta[i]),
            error=float(np.sqrt(cov[i, i])),
            dose=float(beta[j]) / reach if j is not None else 0.0,
            dose_error=float(np.sqrt(cov[j, j])) / reach if j is not None else 0.0,
            middle=middle,
            reach=reach if j is not None else 0.0,
            covariance=float(cov[i, j]) / reach if j is not None else 0.0,
            n=len(at),
        )


def _posterior(x: NDArray[np.float64], y: Vector, least: float) -> tuple[Vector, NDArray[np.float64]]:
    """Coefficients and their covariance under a weak prior, noise from what is left over."""
    prior = np.eye(x.shape[1]) / PRIOR_SD**2
    prior[0, 0] = 1e-6
    noise = max(least, float(np.std(y)) / 2)
    for _ in range(5):
        cov = np.asarray(np.linalg.inv(x.T @ x / noise**2 + prior), dtype=np.float64)
        beta = cov @ (x.T @ y) / noise**2
        left = y - x @ beta
        used = float(((x @ cov) * x).sum()) / noise**2
        noise = max(least, float(np.sqrt(left @ left / max(len(y) - used, 1.0))))
    return beta, cov


def wrong_fills(view: View, rows: Mask, work: Level) -> Iterator[Hit]:
    """Values recorded but not handed over that contradict the runs which were handed them.

    Runs of which the table does not say whether their values were handed over are among them where
    they took the time of runs left to the default, not that of their values (*work*).
    """
    accused: set[tuple[int, str]] = set()
    for outcome in ("duration", *view.metrics):
        for step in steps(view, rows, outcome):
            setting = step.setting
            mine = setting.filled & (view.model == step.model)
            if not mine.any() or setting.label_only or (step.model, setting.name) in accused:
                continue
            values, counts = np.unique(setting.value[mine], return_counts=True)
            value = float(values[np.argmax(counts)])
            if setting.log and value <= 0:
                continue
            gap, error = step.gap(value)
            least = limit("contradiction" if outcome == "duration" else "contradiction-metric")
            if abs(gap) < least or abs(gap) < limit("contradiction-t") * error:
                continue
            accused.add((step.model, setting.name))
            also = _left(view, step, work) if outcome == "duration" else np.zeros(view.n, bool)
            yield from hits(
                "wrong-default", (mine | also) & (setting.value == value), _said(step, value, gap)
            )


def _left(view: View, step: Step, work: Level) -> Mask:
    """Rows of the model of which nobody knows, that took the time of those left to the default."""
    out = np.zeros(view.n, bool)
    for at in cells(view.cell, (view.model == step.model) & view.alone & np.isfinite(view.log_s)):
        filled, unsure = step.setting.filled[at], step.setting.unsure[at]
        if not filled.any() or not unsure.any():
            continue
        like = np.abs(view.log_s[at] - np.median(view.log_s[at][filled])) <= limit("like-default")
        off = np.abs(np.nan_to_num(work.off[at])) > limit("like-default")
        out[at] = unsure & like & off
    return out


def _said(step: Step, value: float, gap: float) -> Callable[[int], str]:
    name = step.setting.name.replace("_", " ")
    if step.outcome == "duration":
        what = f"take {np.expm1(gap):+.0%} time against the runs that were given it"
    else:
        metric = step.outcome.removeprefix("perf_").replace("_", " ")
        what = f"are {gap:+.1f} SD in {metric} from the runs that were given it"
    guess = ""
    if step.outcome == "duration" and abs(step.dose) > 5 * step.dose_error and step.reach:
        dose = step.middle + step.step / step.dose
        implied = float(np.exp(min(dose, 30.0))) if step.setting.log else dose
        guess = f"; they behave like {name} {implied:.3g}"
    said = (
        f"{name} is recorded as {value:g} but was not handed over, and runs of this model without it "
        f"{what}{guess}"
    )
    return lambda _: said


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """Handing over a hyperparameter that changes time though its value does not."""

    model: str
    name: str
    change: float
    n: int
    model_code: int


def hidden(view: View, rows: Mask) -> tuple[Treatment, ...]:
    """Hyperparameters whose being handed over changes time, whatever the value."""
    found: dict[tuple[int, str], Treatment] = {}
    for step in steps(view, rows):
        far = (
            abs(step.step) >= limit("contradiction")
            and abs(step.step) >= limit("contradiction-t") * step.error
        )
        values = abs(step.dose) * step.reach
        if not far or (not step.setting.label_only and values > abs(step.step) / 3):
            continue
        first = int(np.flatnonzero(view.model == step.model)[0])
        one = Treatment(
            model=str(view.frame["model_id"].iloc[first]),
            name=step.setting.name,
            change=float(np.expm1(-step.step)),
            n=step.n,
            model_code=step.model,
        )
        found.setdefault((step.model, step.setting.name), one)
    return tuple(found.values())


def treated(view: View, found: tuple[Treatment, ...]) -> Iterator[Hit]:
    """Runs in which such a hyperparameter was handed over."""
    by_name = {setting.name: setting for setting in view.settings}
    for one in found:
        rows = by_name[one.name].passed & (view.model == one.model_code)
        yield from hits("hidden-treatment", rows, _handed(one))


def _handed(one: Treatment) -> Callable[[int], str]:
    name = one.name.replace("_", " ")
    said = (
        f"{name} was handed over, which changes the duration of this model by {one.change:+.0%} "
        "whatever its value"
    )
    return lambda _: said
