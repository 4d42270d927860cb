"""Double machine learning and causal forest of log energy, beside least squares on the same rows.

In a randomised study there is little to learn away, so these are a check on least squares, and a look
at whether an effect differs between models and modes. They need many runs, and say so where few are.
"""

from __future__ import annotations

import importlib
import math
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_report import regression, response
from causal_report.effects import LABELS_ONLY
from causal_report.findings.heterogeneity import Heterogeneity, Learned, LearnedEffect, LearnedPart
from causal_report.findings.sentence import Sentence
from causal_report.table import vector

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.findings import Response
    from causal_report.table import Column, Table
    from causal_report.text import Text

    Vector = NDArray[np.float64]

LEAST_DML, LEAST_FOREST = 100, 200
"""With five folds, eighty runs teach the nuisance models; honest trees halve the sample twice over."""
LEAST_PART = 20
FOLDS, REPEATS = 5, 5
"""The median over several splits takes the luck of one out (Chernozhukov et al. 2018, section 3.4)."""
MOST_ROWS = 5_000
"""Of more rows than this a seeded sample is taken: the intervals are narrow by then."""
MISSING = 0.4
PENALTIES = tuple(10.0**power for power in range(-3, 5))
TREES = 200
INSTALL = "pip install 'wattwhy[more]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Complete rows of one repository: outcome, treatment and what else was known before training."""

    repository: str
    factor: Column
    y: Vector
    t: Vector
    x: Vector
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """What cross-fitted models of the features leave of outcome and treatment."""

    y: Vector
    t: Vector


def estimate(table: Table, chosen: Response, text: Text, *, seed: int = 0) -> Heterogeneity:
    """Average effects of every factor in every repository, and whether they differ by model and mode.

    Features are the other factors, the model, the mode and the session; nothing that came after the
    treatment. econml is used where it is installed.

    Args:
        table: usable rows; pairs are left out, since their meters hold both programs.
        chosen: the energy that is analysed.
        text: the page's words.
        seed: of folds and trees.
    """
    econml = _econml()
    energy = response.column(chosen)
    frame = table.frame
    if energy is None or not len(frame):
        reason = text("heterogeneity.no_energy")
        return _concluded([], econml, reason, text)
    rows = frame[response.rows(frame, chosen) & (frame["mode"] != "pair")]
    rows = rows[rows[energy.name] > 0].sort_values(["session", "experiment_id", "timestamp"], kind="stable")
    found = [
        _effect(sample, econml, seed, text)
        for repository, group in rows.groupby("repository", sort=True)
        for sample in samples(group, str(repository), table.of("design"), energy, seed)
    ]
    q = regression.benjamini_hochberg([effect.dml.p for effect in found])
    found = [
        replace(effect, dml=replace(effect.dml, q=value)) for effect, value in zip(found, q, strict=True)
    ]
    return _concluded(found, econml, "" if found else text("heterogeneity.no_factor"), text)


def samples(
    rows: pd.DataFrame, repository: str, design: tuple[Column, ...], energy: Column, seed: int
) -> list[Sample]:
    """One sample a factor that varies; a factor that a model does not have is constant there."""
    known = [c for c in design if c.name not in LABELS_ONLY and c.name != "design_background"]
    known = [c for c in known if rows[c.name].nunique() > 1]
    absent = {c.name: rows.groupby("model_id")[c.name].transform("count") == 0 for c in known}
    known = [c for c in known if rows.loc[~absent[c.name], c.name].isna().mean() <= MISSING]
    filled = rows.assign(**{c.name: rows[c.name].mask(absent[c.name], 1.0) for c in known})
    whole = filled.dropna(subset=[c.name for c in known])
    if len(whole) > MOST_ROWS:
        rng = np.random.default_rng([seed, zlib.crc32(repository.encode())])
        whole = whole.iloc[np.sort(rng.choice(len(whole), MOST_ROWS, replace=False))]
    doses = {c.name: vector(whole, c) for c in known}
    labels = _indicators(whole)
    parts = tuple(zip(whole["model_id"].astype(str), whole["mode"].astype(str), strict=True))
    return [
        Sample(
            repository=repository,
            factor=factor,
            y=vector(whole, energy),
            t=doses[factor.name],
            x=np.column_stack([*(d for name, d in doses.items() if name != factor.name), labels]),
            parts=parts,
        )
        for factor in known
        if len(whole) and np.ptp(doses[factor.name]) > 0
    ]


def residuals(sample: Sample, seed: int) -> list[Residuals]:
    """Outcome and treatment less what ridge regressions on other folds predict, for several splits.

    Partialling out with cross-fitting (Chernozhukov et al. 2018, Econometrics Journal 21). The learners
    are ridges on features, squares and products, their penalty chosen by leaving one out: smooth,
    and quick enough for every factor.
    """
    name = f"{sample.repository}|{sample.factor.name}"
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    features = _polynomial(sample.x)
    made = []
    for _ in range(REPEATS):
        fold = rng.permutation(len(sample.y)) % FOLDS
        left = np.column_stack([sample.y, sample.t])
        rest = np.empty_like(left)
        for k in range(FOLDS):
            rest[fold == k] = left[fold == k] - _ridge(features, left, fold != k)[fold == k]
        made.append(Residuals(y=rest[:, 0], t=rest[:, 1]))
    return made


def partialled(made: list[Residuals], within: NDArray[np.bool_] | None = None) -> tuple[float, float] | None:
    """Slope and standard error: medians over splits, their scatter added; None where nothing is left."""
    slopes, errors = [], []
    for rest in made:
        y, t = (rest.y, rest.t) if within is None else (rest.y[within], rest.t[within])
        if within is not None:
            y, t = y - y.mean(), t - t.mean()
        total = float(t @ t)
        if total <= 1e-12:
            return None
        slope = float(t @ y) / total
        slopes.append(slope)
        errors.append(float(np.sqrt(np.sum((t * (y - slope * t)) ** 2) * len(y) / (len(y) - 1))) / total)
    middle = float(np.median(slopes))
    spread = np.median(np.square(errors) + np.square(np.asarray(slopes) - middle))
    return middle, float(np.sqrt(spread))


def _effect(sample: Sample, econml: Any, seed: int, text: Text) -> LearnedEffect:
    n = len(sample.y)
    blank = LearnedEffect(
        repository=sample.repository,
        factor=sample.factor.name,
        factor_label=sample.factor.label,
        scale="elasticity" if sample.factor.log else "rate",
        n=n,
        ols=_ols(sample, text),
        dml=Learned(reason=text("heterogeneity.few", n=n, least=LEAST_DML)),
        linear=Learned(reason=text("heterogeneity.few", n=n, least=LEAST_DML)),
        forest=Learned(reason=text("heterogeneity.few", n=n, least=LEAST_FOREST)),
    )
    if n < LEAST_DML:
        return blank
    made = residuals(sample, seed)
    dml = _interval(partialled(made), text("heterogeneity.method.dml", folds=FOLDS, repeats=REPEATS), text)
    parts, differ = _parts(sample, made)
    missing = Learned(reason=text("heterogeneity.not_installed", install=INSTALL))
    linear = missing if econml is None else _linear(econml, sample, seed, text)
    forest = blank.forest
    if n >= LEAST_FOREST:
        forest = missing if econml is None else _forest(econml, sample, seed, text)
    agrees = None
    if dml.lo is not None and dml.hi is not None and blank.ols.estimate is not None:
        agrees = dml.lo <= blank.ols.estimate <= dml.hi
    return replace(blank, dml=dml, linear=linear, forest=forest, parts=parts, differ=differ, agrees=agrees)


def _ols(sample: Sample, text: Text) -> Learned:
    controls = {str(i): sample.x[:, i] for i in range(sample.x.shape[1])}
    method = text("heterogeneity.method.ols")
    if len(sample.y) - 2 - len(controls) < 4:
        return Learned(
            method=method, reason=text("heterogeneity.few", n=len(sample.y), least=len(controls) + 6)
        )
    fit = regression.ols(sample.y, {"t": sample.t}, controls)
    found = fit.coefficients.get("t")
    if found is None or not math.isfinite(found.hi):
        return Learned(method=method, reason=text("heterogeneity.aliased"))
    return Learned(estimate=found.estimate, lo=found.lo, hi=found.hi, p=found.p, method=method)


def _interval(found: tuple[float, float] | None, method: str, text: Text) -> Learned:
    from scipy.special import ndtr, ndtri

    if found is None:
        return Learned(method=method, reason=text("heterogeneity.aliased"))
    slope, error = found
    far = float(ndtri(0.975)) * error
    p = float(2 * ndtr(-abs(slope) / error)) if error > 0 else 0.0
    return Learned(estimate=slope, lo=slope - far, hi=slope + far, p=p, method=method)


def _parts(sample: Sample, made: list[Residuals]) -> tuple[tuple[LearnedPart, ...], float | None]:
    """Effects by model and mode, and Welch's test that they are one."""
    from scipy.special import ndtri

    found, slopes, errors = [], [], []
    for model, mode in sorted(set(sample.parts)):
        within = np.array([part == (model, mode) for part in sample.parts])
        if within.sum() < LEAST_PART or np.ptp(sample.t[within]) == 0:
            continue
        one = partialled(made, within)
        if one is None or one[1] <= 0:
            continue
        far = float(ndtri(0.975)) * one[1]
        n = int(within.sum())
        found.append(
            LearnedPart(model=model, mode=mode, n=n, estimate=one[0], lo=one[0] - far, hi=one[0] + far)
        )
        slopes.append(one[0])
        errors.append(one[1])
    if len(found) < 2:
        return tuple(found), None
    return tuple(found), regression.alike(slopes, errors, [part.n - 2 for part in found])


def _linear(econml: Any, sample: Sample, seed: int, text: Text) -> Learned:
    from sklearn.linear_model import RidgeCV

    learner = econml.LinearDML(
        model_y=RidgeCV(PENALTIES), model_t=RidgeCV(PENALTIES), cv=FOLDS, random_state=seed
    )
    return _fitted(learner, sample, text("heterogeneity.method.linear"))


def _forest(econml: Any, sample: Sample, seed: int, text: Text) -> Learned:
    from sklearn.linear_model import RidgeCV

    learner = econml.CausalForestDML(
        model_y=RidgeCV(PENALTIES),
        model_t=RidgeCV(PENALTIES),
        n_estimators=TREES,
        cv=FOLDS,
        random_state=seed,
        n_jobs=1,
    )
    found = _fitted(learner, sample, text("heterogeneity.method.forest", trees=TREES))
    each = np.ravel(learner.const_marginal_effect(_scaled(sample.x)))
    low, high = np.quantile(each, (0.1, 0.9))
    return replace(found, low=float(low), high=float(high))


def _fitted(learner: Any, sample: Sample, method: str) -> Learned:
    from scipy.special import ndtr

    x = _scaled(sample.x)
    learner.fit(sample.y, sample.t, X=x)
    average = learner.ate_inference(X=x, T0=0, T1=1)
    slope, error = float(np.ravel(average.mean_point)[0]), float(np.ravel(average.stderr_mean)[0])
    lo, hi = (float(np.ravel(bound)[0]) for bound in average.conf_int_mean(alpha=0.05))
    p = float(2 * ndtr(-abs(slope) / error)) if error > 0 else 0.0
    return Learned(estimate=slope, lo=lo, hi=hi, p=p, method=method)


def _econml() -> Any | None:
    """Econml's module of double machine learning, None where it is not installed."""
    try:
        return importlib.import_module("econml.dml")
    except ModuleNotFoundError:
        return None


def _indicators(rows: pd.DataFrame) -> Vector:
    """Model, mode and session but the first of each, those that vary."""
    made = [
        np.asarray(rows[name].astype(str) == level, dtype=np.float64)
        for name in ("model_id", "mode", "session")
        for level in sorted(rows[name].astype(str).unique())[1:]
    ]
    return np.column_stack(made) if made else np.empty((len(rows), 0))


def _scaled(x: Vector) -> Vector:
    """Columns that vary, with mean 0 and variance 1; a column of noughts where none does."""
    kept = x[:, np.ptp(x, axis=0) > 0] if x.shape[1] else x
    if not kept.shape[1]:
        return np.zeros((len(x), 1))
    return np.asarray((kept - kept.mean(axis=0)) / kept.std(axis=0))


def _polynomial(x: Vector) -> Vector:
    """Scaled features with their squares and products, scaled again."""
    from sklearn.preprocessing import PolynomialFeatures

    return _scaled(PolynomialFeatures(degree=2, include_bias=False).fit_transform(_scaled(x)))


def _ridge(features: Vector, outcomes: Vector, train: NDArray[np.bool_]) -> Vector:
    """Predictions for all rows by a ridge learnt on *train*, a penalty for each outcome."""
    from sklearn.linear_model import RidgeCV

    learner = RidgeCV(alphas=PENALTIES, alpha_per_target=True).fit(features[train], outcomes[train])
    return np.asarray(learner.predict(features))


def _concluded(found: list[LearnedEffect], econml: Any, reason: str, text: Text) -> Heterogeneity:
    learned = [effect for effect in found if effect.dml.estimate is not None]
    words: list[tuple[str, dict[str, object]]] = []
    if reason:
        words.append(("none", {"reason": reason}))
    elif not learned:
        words.append(("few_all", {"most": max(effect.n for effect in found), "least": LEAST_DML}))
    else:
        agree = sum(effect.agrees is True for effect in learned)
        q = regression.benjamini_hochberg([effect.differ for effect in learned])
        differ = sum(map(regression.significant, q))
        rows = sum({effect.repository: effect.n for effect in learned}.values())
        counts = {"effects": len(learned), "of": len(found), "agree": agree, "n": rows}
        words.append(("answer" if len(learned) < len(found) else "answer_all", dict(counts)))
        words.append(("differ", {"differ": differ, "effects": sum(v is not None for v in q)}))
    version = "" if econml is None else str(getattr(importlib.import_module("econml"), "__version__", "?"))
    if not reason and econml is None:
        words.append(("without", {"install": INSTALL}))
    return Heterogeneity(
        sentences=tuple(
            Sentence(key=key, text=text(f"heterogeneity.{key}", **values)) for key, values in words
        ),
        effects=tuple(found),
        econml=version,
        reason=reason,
    )
