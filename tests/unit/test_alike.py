"""Whether several slopes are one: Welch's test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from causal_report import regression


def test_of_two_means_it_is_welchs_t_test() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.normal(0.0, 1.0, 9), rng.normal(0.8, 3.0, 14)
    errors = [float(v.std(ddof=1)) / np.sqrt(len(v)) for v in (one, two)]
    found = regression.alike([one.mean(), two.mean()], errors, [8, 13])
    assert found == pytest.approx(stats.ttest_ind(one, two, equal_var=False).pvalue)


def test_errors_from_few_rows_make_no_difference_of_nothing() -> None:
    """Eight slopes that are one, each with an error from eighteen degrees of freedom."""
    rng = np.random.default_rng(2)
    found, cochran = [], []
    for _ in range(2000):
        errors = np.sqrt(rng.chisquare(18, 8) / 18)
        slopes = rng.normal(size=8)
        found.append(regression.alike(list(slopes), list(errors), [18.0] * 8))
        weight = 1 / errors**2
        q = float(weight @ (slopes - weight @ slopes / weight.sum()) ** 2)
        cochran.append(stats.chi2.sf(q, 7))
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.mean(np.array(cochran) < 0.05) > 0.08


def test_slopes_far_apart_are_told_apart() -> None:
    assert regression.alike([0.0, 1.0, 2.0], [0.1, 0.1, 0.2], [20, 20, 20]) < 1e-6
