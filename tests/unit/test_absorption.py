"""Absorbed indicators: the same slopes, intervals and leverages as with every indicator built."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_report import absorption, regression


def _indicators(codes: np.ndarray) -> np.ndarray:
    return np.column_stack([codes == code for code in np.unique(codes[codes >= 0])]).astype(float)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), second=st.booleans(), gaps=st.booleans())
def test_an_absorbed_fit_is_that_with_all_indicators(seed: int, second: bool, gaps: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 60
    first, blocks = rng.integers(0, 5, n), rng.integers(0, 4, n)
    if gaps:
        blocks[first == first[0]] = -1  # one session has no blocks
    x, w = rng.normal(size=n) + first, rng.normal(size=n) + blocks
    y = 0.7 * x + first + 0.3 * blocks + rng.normal(size=n) * (1 + np.abs(x))
    absorbed = absorption.absorb(first, blocks if second else None)
    design = regression.design({"x": x}, {"w": w}, absorbed)
    fit = design.fit(y)
    indicators = np.column_stack([_indicators(first), *([_indicators(blocks)] if second else [])])
    left, sizes, _ = np.linalg.svd(indicators, full_matrices=False)
    columns = np.column_stack([left[:, sizes > 1e-9], w, x])
    full = sm.OLS(y, columns).fit(cov_type="HC3", use_t=True)
    found = fit.coefficients["x"]
    assert found.estimate == pytest.approx(full.params[-1], abs=1e-9)
    assert found.se == pytest.approx(max(full.bse[-1], sm.OLS(y, columns).fit().bse[-1]), abs=1e-9)
    assert fit.df == n - columns.shape[1]
    assert fit.r2 == pytest.approx(1 - full.ssr / np.sum((y - y.mean()) ** 2), abs=1e-9)
    hat = columns @ np.linalg.pinv(columns)
    assert design.leverage == pytest.approx(np.diag(hat), abs=1e-9)


def test_a_plain_fit_has_the_intervals_of_statsmodels() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 40))
    y = a - 2 * b + rng.normal(size=40) * np.exp(np.abs(a) - np.abs(b))
    fit = regression.ols(y, {"a": a, "b": b}, {})
    model = sm.OLS(y, sm.add_constant(np.column_stack([a, b])))
    robust, plain = model.fit(cov_type="HC3", use_t=True), model.fit()
    assert robust.bse[1] > plain.bse[1]  # the scatter grows away from a = 0 ...
    assert robust.bse[2] < plain.bse[2]  # ... and shrinks away from b = 0
    for at, (name, full) in enumerate(zip("ab", (robust, plain), strict=True), start=1):
        found = fit.coefficients[name]
        assert (found.lo, found.hi) == pytest.approx(tuple(full.conf_int()[at]), abs=1e-9)
        assert found.p == pytest.approx(full.pvalues[at], abs=1e-9)
    assert fit.r2 == pytest.approx(robust.rsquared, abs=1e-12)


def test_slopes_that_few_rows_carry_raise_no_more_alarms_than_they_may() -> None:
    """Two heavy rows among twenty: by HC3 alone p falls below 0.001 in 1 % of tables without any effect."""
    rng = np.random.default_rng(3)
    x = np.r_[np.full(18, 0.0), 1.0, -1.0] + 0.1 * rng.normal(size=20)
    design = regression.design({"x": x}, {}, absorption.none(20))
    p = np.array([design.fit(rng.normal(size=20)).coefficients["x"].p for _ in range(4000)])
    assert np.mean(p < 0.05) <= 0.05
    assert np.mean(p < 0.001) <= 0.002


def test_leaving_a_row_out_changes_the_slope_as_the_influence_says() -> None:
    rng = np.random.default_rng(2)
    codes = np.repeat([0, 1, 2], 8)
    x = rng.normal(size=24)
    y = x + codes + rng.normal(size=24)
    design = regression.design({"x": x}, {}, absorption.absorb(codes))
    fit = design.fit(y)
    kept = np.arange(24) != 5
    without = regression.design({"x": x[kept]}, {}, absorption.absorb(codes[kept])).fit(y[kept])
    change = fit.coefficients["x"].estimate - without.coefficients["x"].estimate
    assert design.influence("x", fit)[5] == pytest.approx(change, abs=1e-12)


def test_variance_inflation_is_that_of_the_textbook() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=50)
    b = a + 0.5 * rng.normal(size=50)
    design = regression.design({"a": a, "b": b}, {}, absorption.none(50))
    r2 = np.corrcoef(a, b)[0, 1] ** 2
    assert design.inflation["a"] == pytest.approx(1 / (1 - r2))


def test_a_slope_that_one_row_decides_has_no_interval() -> None:
    x = np.zeros(20)
    x[3] = 1.0
    fit = regression.ols(np.arange(20.0), {"x": x}, {})
    assert np.isnan(fit.coefficients["x"].lo)


def test_a_group_of_one_row_says_nothing_and_takes_no_interval_away() -> None:
    rng = np.random.default_rng(4)
    codes = np.array([0] * 10 + [1])
    x, y = rng.normal(size=(2, 11))
    alone = regression.design({"x": x[:10]}, {}, absorption.none(10)).fit(y[:10])
    found = regression.design({"x": x}, {}, absorption.absorb(codes)).fit(y)
    assert found.coefficients["x"].estimate == pytest.approx(alone.coefficients["x"].estimate)
    assert found.coefficients["x"].se == pytest.approx(alone.coefficients["x"].se)
