"""The bootstrap by moments gives the numbers of refitting, and gives them fast."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_report import regression
from causal_report.absorption import centred
from causal_report.mediation import intervals, moments
from causal_report.mediation.fit import Adjusted
from tests.benchmarks import mediation as benchmark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def _made(n: int, *, models: int = 1, seed: int = 3) -> tuple[Array, NDArray[np.intp]]:
    """Columns control, control, cause, mediator, outcome; each model has levels of its own."""
    rng = np.random.default_rng(seed)
    strata = (np.arange(n) % models).astype(np.intp)
    controls = rng.normal(size=(n, 2))
    x = rng.normal(size=n) + strata
    m = 0.5 * x + controls[:, 0] + 5 * strata + rng.normal(size=n)
    y = 0.4 * m - 0.2 * x + controls[:, 1] - 9 * strata + rng.normal(size=n) * (1 + 0.5 * np.abs(x))
    return np.column_stack([controls, x, m, y]), strata


def _refitted(columns: Array, strata: NDArray[np.intp], rows: NDArray[np.intp]) -> list[float]:
    """a, b, direct, total of the drawn *rows* by statsmodels, the models as indicators."""
    import statsmodels.api as sm

    z, levels = columns[rows], strata[rows]
    indicators = [np.asarray(levels == s, dtype=float) for s in np.unique(levels)]
    controls, x, m, y = z[:, :2], z[:, 2], z[:, 3], z[:, 4]
    total = np.column_stack([x, controls, *indicators])
    both = np.column_stack([x, m, controls, *indicators])
    fitted = sm.OLS(y, both).fit().params
    return [sm.OLS(m, total).fit().params[0], fitted[1], fitted[0], sm.OLS(y, total).fit().params[0]]


@pytest.mark.parametrize("models", [1, 3])
def test_every_resample_equals_its_refit(models: int) -> None:
    columns, strata = _made(60, models=models)
    z = centred(columns, strata)
    weights = next(moments.counts(60, 40, np.random.default_rng(1)))
    grams = moments.weighted(z, strata, weights)
    found = moments.slopes(grams, *moments.swept(grams, [0, 1]), (2, 3, 4))
    assert found.usable.all()
    for at, drawn in enumerate(weights):
        rows = np.repeat(np.arange(60), drawn.astype(int))
        mine = [float(v[at]) for v in (found.a, found.b, found.direct, found.total)]
        assert mine == pytest.approx(_refitted(columns, strata, rows), abs=1e-9)


def test_a_model_that_was_not_drawn_costs_the_resample_nothing() -> None:
    columns, strata = _made(40)
    strata[:2] = 1
    weights = np.ones((1, 40))
    weights[0, :2] = 0
    grams = moments.weighted(centred(columns, strata), strata, weights)
    found = moments.slopes(grams, *moments.swept(grams, [0, 1]), (2, 3, 4))
    assert found.usable.all()
    assert float(found.a[0]) == pytest.approx(_refitted(columns, strata, np.arange(2, 40))[0], abs=1e-9)


def test_the_jackknife_equals_leaving_each_row_out() -> None:
    columns, strata = _made(30, models=2)
    grams = moments.jackknifed(centred(columns, strata), strata)
    found = moments.slopes(grams, *moments.swept(grams, [0, 1]), (2, 3, 4))
    for at in range(30):
        expected = _refitted(columns, strata, np.delete(np.arange(30), at))
        mine = [float(v[at]) for v in (found.a, found.b, found.direct, found.total)]
        assert mine == pytest.approx(expected, abs=1e-9)


def test_a_resample_in_which_a_column_stands_still_is_dropped() -> None:
    columns, strata = _made(30)
    columns[:, 2] = 0.0
    columns[:2, 2] = 1.0  # two rows decide: some resamples have neither
    z = centred(columns, strata)
    grams = moments.resampled(z, strata, 500, np.random.default_rng(0))
    found = moments.slopes(grams, *moments.swept(grams, [0, 1]), (2, 3, 4))
    assert 20 < int((~found.usable).sum()) < 150  # (1 - 2/30)^30 = 13 %
    assert np.isfinite(found.indirect).all()


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, strata = _made(50, models=2)
    z = centred(columns, strata)
    whole = moments.resampled(z, strata, 64, np.random.default_rng(9))
    monkeypatch.setattr(moments, "CELLS", 350)
    parts = moments.resampled(z, strata, 64, np.random.default_rng(9))
    np.testing.assert_allclose(parts, whole, rtol=1e-12, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(12, 60), st.integers(1, 3), st.integers(0, 99))
def test_slopes_and_errors_are_those_of_a_whole_regression(n: int, models: int, seed: int) -> None:
    columns, strata = _made(n, models=models, seed=seed)
    adjusted = Adjusted(columns[:, :2], strata)
    found = adjusted.path(*(adjusted.column(columns[:, at]) for at in (2, 3, 4)))
    controls = {f"c{at}": columns[:, at] for at in (0, 1)}
    controls |= {f"s{s}": np.asarray(strata == s, dtype=float) for s in range(1, models)}
    x, m, y = (columns[:, at] for at in (2, 3, 4))
    first = regression.ols(m, {"x": x}, controls).coefficients["x"]
    last = regression.ols(y, {"x": x, "m": m}, controls).coefficients
    whole = regression.ols(y, {"x": x}, controls).coefficients["x"]
    for slope, expected in (
        (found.a, first),
        (found.b, last["m"]),
        (found.direct, last["x"]),
        (found.total, whole),
    ):
        assert slope.estimate == pytest.approx(expected.estimate, abs=1e-9)
        assert slope.p == pytest.approx(expected.p, abs=1e-9)
    assert found.top2 == pytest.approx(whole.top2, abs=1e-9)
    assert found.total.estimate == pytest.approx(
        found.direct.estimate + found.a.estimate * found.b.estimate, abs=1e-9
    )


def test_percentiles_and_p_of_known_resamples() -> None:
    found = np.arange(-10.0, 991.0)
    assert intervals.percentile(found) == pytest.approx((15.0, 965.0))
    assert intervals.probability(found) == pytest.approx(2 * 12 / 1002)
    assert intervals.probability(found + 100) == pytest.approx(2 / 1002)
    assert intervals.probability(found - 490) == 1.0


def test_bca_of_symmetric_resamples_is_the_percentile_interval() -> None:
    found = np.linspace(-1, 1, 2001)
    low, high = intervals.bca(found, 0.0, np.linspace(-1, 1, 51))
    assert (low, high) == pytest.approx((-0.95, 0.95), abs=1e-3)


def test_bca_is_that_of_scipy() -> None:
    from scipy.stats import bootstrap

    values = np.random.default_rng(4).exponential(size=40)
    reference = bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(5))
    jackknife = np.array([np.delete(values, at).mean() for at in range(40)])
    found = intervals.bca(reference.bootstrap_distribution, float(values.mean()), jackknife)
    assert found == pytest.approx(tuple(reference.confidence_interval), abs=2e-3)


def test_a_thousand_resamples_are_a_hundred_times_faster_than_refitting() -> None:
    """Naive: ``df.sample`` and three formula fits a resample; a few are timed and scaled, CPU time."""
    frame = benchmark.made(150, 0.4, 0.4, seed=1)
    benchmark.by_moments(frame)  # imports and caches
    ours = min(benchmark.timed(lambda: benchmark.by_moments(frame)) for _ in range(3))
    naive = benchmark.timed(lambda: benchmark.naive(frame, 5)) * benchmark.DRAWS / 5
    assert naive > 100 * ours, f"naive {naive:.2f} s, by moments {ours:.4f} s"


@pytest.mark.slow
def test_the_percentile_interval_covers_the_truth_at_its_rate() -> None:
    """N = 150, a = b = 0.4, 1000 tables of seeds 0 to 999: 93 to 97 % (Monte Carlo error 0.7 %)."""
    start = time.process_time()
    covered = benchmark.coverage(150, 0.4, 0.4, tables=1000)
    print(f"percentile {covered:.3f} of 1000 tables cover; {time.process_time() - start:.0f} s")
    assert 0.93 <= covered <= 0.97
