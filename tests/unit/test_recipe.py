"""The published recipe: the numbers it printed, and that each stands beside its reasons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import statsmodels.formula.api as smf

from causal_report import recipe, table
from causal_report.effects import estimate
from causal_report.figures import recipe as drawing
from causal_report.sources import published
from causal_report.table import Column, Table
from causal_report.text import Text
from tests.report import section, tables

if TYPE_CHECKING:
    import pandas as pd

    from causal_report.findings.recipe import Recipe

PUBLISHED = Path(__file__).resolve().parents[3] / "shared/data/training-energy/experiments.csv"
TEXT = Text("en")


def made(n: int = 80, *, missing: float = 0.2, seed: int = 3) -> Table:
    """A table as the study left it: some values unknown, two models, GPU columns with their mediators."""
    frame = tables.rows(n, seed=seed)
    rng = np.random.default_rng(seed)
    frame["energy_gpu_util_max_percent"] = frame["energy_gpu_util_avg_percent"] + rng.random(n)
    frame["energy_gpu_temp_max_celsius"] = 60 + rng.normal(size=n)
    frame.loc[rng.random(n) < missing, "hyperparam_epochs"] = np.nan
    frame.loc[rng.random(n) < 0.7, "hyperparam_dropout"] = np.nan
    return table.build([tables.source(frame)])


def refit(built: Table) -> pd.DataFrame:
    """The recipe's z-scores made independently."""
    names = [
        "hyperparam_epochs",
        "duration_seconds",
        "energy_gpu_total_joules",
        "energy_gpu_util_avg_percent",
    ]
    frame = built.frame[names].copy()
    frame = frame.fillna(frame.mean())
    return (frame - frame.mean()) / frame.std(ddof=0)


def test_an_edge_is_the_regression_an_independent_program_makes() -> None:
    built = made()
    fit = smf.ols("energy_gpu_total_joules ~ hyperparam_epochs + duration_seconds", data=refit(built)).fit()
    found = recipe.reproduce(built, TEXT)
    edge = next(
        e for e in found.edges if (e.cause, e.effect) == ("hyperparam_epochs", "energy_gpu_total_joules")
    )
    assert edge.coefficient == pytest.approx(fit.params["hyperparam_epochs"], rel=1e-9)
    assert edge.p == pytest.approx(fit.pvalues["hyperparam_epochs"], rel=1e-6)
    assert edge.r2 == pytest.approx(fit.rsquared, rel=1e-9)
    assert edge.n == 80


def test_a_path_is_the_sobel_test_an_independent_program_makes() -> None:
    from scipy.stats import norm

    built = made()
    z = refit(built)
    first = smf.ols("energy_gpu_util_avg_percent ~ hyperparam_epochs + duration_seconds", data=z).fit()
    second = smf.ols(
        "energy_gpu_total_joules ~ hyperparam_epochs + energy_gpu_util_avg_percent + duration_seconds", data=z
    ).fit()
    a, b = first.params["hyperparam_epochs"], second.params["energy_gpu_util_avg_percent"]
    sa, sb = first.bse["hyperparam_epochs"], second.bse["energy_gpu_util_avg_percent"]
    path = next(
        p
        for p in recipe.reproduce(built, TEXT).paths
        if (p.cause, p.mediator, p.effect)
        == ("hyperparam_epochs", "energy_gpu_util_avg_percent", "energy_gpu_total_joules")
    )
    assert [path.a, path.b] == pytest.approx([a, b], rel=1e-9)
    assert path.indirect == pytest.approx(a * b, rel=1e-9)
    assert path.direct == pytest.approx(second.params["hyperparam_epochs"], rel=1e-9)
    assert path.p == pytest.approx(2 * norm.sf(abs(a * b) / np.hypot(b * sa, a * sb)), rel=1e-6)


def test_an_edge_names_what_its_own_rows_have_against_it() -> None:
    edge = next(e for e in recipe.reproduce(made(), TEXT).edges if e.cause == "hyperparam_epochs")
    words = " | ".join(edge.doubts)
    assert "duration is held fixed" in words
    assert "not known and were set to the mean" in words
    assert "2 models are pooled" in words
    assert "alone and under load" not in words


def test_a_column_beyond_forty_per_cent_missing_is_left_out_by_name() -> None:
    found = recipe.reproduce(made(), TEXT)
    assert "hyperparam_dropout" in [left.column for left in found.left]
    assert "hyperparam_dropout" not in {edge.cause for edge in found.edges}


def test_rows_from_a_date_on_are_left_out() -> None:
    built = made()
    half = recipe.reproduce(built, TEXT, until="2026-11-21T00:40:00")
    assert half.n == 40
    assert half.edges[0].n == 40
    assert "before 2026-11-21T00:40:00" in half.sentences[0].text


def test_the_sound_effect_of_the_same_edge_stands_beside_it() -> None:
    built = made(missing=0.0)
    outcome = Column(name="energy_gpu_total_joules", label="GPU energy", part="energy", log=True)
    effects = estimate(built.frame, built.of("design"), [outcome])
    found = recipe.reproduce(built, TEXT, effects=effects)
    edges = {(e.cause, e.effect): e for e in found.edges}
    sound = edges["hyperparam_epochs", "energy_gpu_total_joules"].sound
    assert sound is not None
    assert sound.estimate == pytest.approx(tables.ELASTICITY, abs=0.05)
    assert not sound.contradicts
    assert edges["hyperparam_epochs", "energy_gpu_avg_watts"].sound is None


def test_no_number_of_the_recipe_depends_on_the_order_of_rows() -> None:
    built = made()
    turned = Table(frame=built.frame.iloc[::-1].reset_index(drop=True), columns=built.columns)
    one, two = recipe.reproduce(built, TEXT), recipe.reproduce(turned, TEXT)
    assert [e.printed for e in one.edges] == [e.printed for e in two.edges]
    assert one.sentences == two.sentences


@pytest.mark.parametrize("n", [0, 1, 3, 5])
def test_too_few_rows_give_reasons_and_no_numbers(n: int) -> None:
    built = made()
    found = recipe.reproduce(Table(frame=built.frame.iloc[:n], columns=built.columns), TEXT)
    assert not found.edges
    assert "nothing can be computed" in found.sentences[0].text


def test_a_hyperparameter_that_moves_with_duration_alone_gives_no_number() -> None:
    built = made(missing=0.0)
    frame = built.frame.assign(hyperparam_epochs=built.frame["duration_seconds"])
    found = recipe.reproduce(Table(frame=frame, columns=built.columns), TEXT)
    assert "hyperparam_epochs" not in {edge.cause for edge in found.edges}
    assert any(left.column.startswith("hyperparam_epochs") for left in found.left)


def render(found: Recipe) -> str:
    return section.render("recipe", found, recipe=drawing.coefficients(found))


def test_the_page_calls_every_number_the_published_recipe() -> None:
    page = render(recipe.reproduce(made(), TEXT))
    assert "By the published recipe" in page
    assert page.count("ublished recipe") >= 5
    assert '<section id="recipe"' in page
    empty = recipe.reproduce(Table(frame=made().frame.iloc[:0], columns=()), TEXT)
    assert "nothing can be computed" in render(empty)


def test_the_figure_shows_each_validated_edge_with_and_without_duration() -> None:
    found = recipe.reproduce(made(), TEXT)
    figure = drawing.coefficients(found)
    assert figure is not None
    assert len(figure.lines) == found.validated
    assert all(figure.left <= line.x <= figure.width for line in figure.lines)


EDGES = {
    ("pytorch_resnet_cifar10", "epochs", "gpu_total_joules"): (49, "0.141", 0.0, 0.001, "0.997"),
    ("pytorch_resnet_cifar10", "epochs", "gpu_avg_watts"): (49, "0.436", 0.0, 0.001, "0.918"),
    ("Person_reID_baseline_pytorch", "epochs", "gpu_avg_watts"): (146, "0.263", 0.00275, 0.00285, "0.156"),
    ("Person_reID_baseline_pytorch", "epochs", "gpu_min_watts"): (146, "-0.371", 0.0, 0.001, "0.505"),
}


@pytest.fixture(scope="module")
def seed() -> Recipe:
    if not PUBLISHED.exists():
        pytest.skip("the published table is not beside the checkout")
    return recipe.reproduce(table.build([published.read(PUBLISHED)]), TEXT, until="2026-01-05")


@pytest.mark.data
@pytest.mark.parametrize("key", EDGES, ids="-".join)
def test_every_printed_digit_of_a_published_edge_comes_out(seed: Recipe, key: tuple[str, str, str]) -> None:
    repository, cause, effect = key
    n, coefficient, low, high, r2 = EDGES[key]
    edge = next(
        e
        for e in seed.edges
        if (e.repository, e.cause, e.effect) == (repository, f"hyperparam_{cause}", f"energy_{effect}")
    )
    assert (edge.n, edge.printed, f"{edge.r2:.3f}") == (n, coefficient, r2)
    assert low <= edge.p < high
    assert edge.validated == (not coefficient.startswith("-"))
    assert len(edge.doubts) >= 2


@pytest.mark.data
def test_every_printed_digit_of_the_published_paths_comes_out(seed: Recipe) -> None:
    paths = {
        p.mediator.removeprefix("energy_gpu_"): p
        for p in seed.paths
        if (p.repository, p.cause, p.effect)
        == ("pytorch_resnet_cifar10", "hyperparam_epochs", "energy_gpu_total_joules")
    }
    mean, top = paths["util_avg_percent"], paths["util_max_percent"]
    assert [recipe.printed(v) for v in (mean.a, mean.b, mean.indirect, mean.direct, mean.total)] == [
        "-0.431",
        "0.146",
        "-0.063",
        "0.204",
        "0.141",
    ]
    assert [recipe.printed(v) for v in (top.indirect, top.total)] == ["-0.029", "0.141"]
    assert max(mean.p, top.p) < 0.001
    assert mean.inconsistent
    assert recipe.printed(paths["temp_max_celsius"].b_p) == "0.059"


@pytest.mark.data
def test_all_seven_declared_paths_are_among_those_of_the_recipe(seed: Recipe) -> None:
    names = {(p.repository, p.cause, p.mediator, p.effect) for p in seed.paths}
    util, top, heat = "util_avg_percent", "util_max_percent", "temp_max_celsius"
    declared = [
        *(("pytorch_resnet_cifar10", "epochs", m, "gpu_total_joules") for m in (util, top, heat)),
        *(("Person_reID_baseline_pytorch", "epochs", m, "gpu_avg_watts") for m in (util, heat)),
        *(("examples", "batch_size", m, "gpu_max_watts") for m in (heat, util)),
    ]
    assert {(r, f"hyperparam_{x}", f"energy_gpu_{m}", f"energy_{y}") for r, x, m, y in declared} <= names


@pytest.mark.data
def test_the_published_group_one_edge_is_a_little_smaller_on_this_table(seed: Recipe) -> None:
    edge = next(
        e
        for e in seed.edges
        if (e.repository, e.cause, e.effect) == ("examples", "hyperparam_batch_size", "energy_gpu_max_watts")
    )
    assert edge.printed == "0.126"
    assert any("two rows carry" in doubt for doubt in edge.doubts)
