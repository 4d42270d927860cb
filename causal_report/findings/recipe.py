"""What the seed study's published recipe gives, beside what is wrong with it: no finding of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causal_report.findings.sentence import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeSound:
    """What the sound analysis says of the same edge.

    Attributes:
        estimate: slope with its 95 % interval, on the scale named by ``scale``; None if ``reason``.
        plain: the same in plain terms for a doubling or a step, as in :class:`Effect`.
        contradicts: the recipe calls the edge validated, and this interval holds zero or lies below it.
    """

    scope: str
    scale: str
    n: int
    step: float = 1.0
    estimate: float | None = None
    lo: float | None = None
    hi: float | None = None
    plain: float | None = None
    plain_lo: float | None = None
    plain_hi: float | None = None
    contradicts: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeEdge:
    """One regression of the recipe: ``y ~ x + duration`` on z-scores.

    Attributes:
        printed: the coefficient as the study prints it: rounded to four places, then to three.
        validated: the recipe's own rule: p < 0.05 and a positive coefficient.
        without_duration: the coefficient when duration is not held fixed, with its ``p``.
        r2_without_duration: R2 of the same.
        filled: share of the hyperparameter's values that are not known and were set to the mean.
        doubts: why the number is not to be believed, one clause each.
        sound: what a total effect says of the same edge; None where none was asked for.
    """

    repository: str
    cause: str
    effect: str
    n: int
    coefficient: float
    printed: str
    p: float
    r2: float
    validated: bool
    without_duration: float
    p_without_duration: float
    r2_without_duration: float
    filled: float
    doubts: tuple[str, ...]
    sound: RecipeSound | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipePath:
    """One mediation of the recipe: a of ``M ~ X + duration``, b and direct of ``Y ~ X + M + duration``.

    Attributes:
        indirect: a times b, with the first-order Sobel ``p``.
        total: coefficient of X in ``Y ~ X + duration``.
        inconsistent: direct and indirect effects have opposite signs, so no share is mediated.
    """

    repository: str
    cause: str
    mediator: str
    effect: str
    n: int
    a: float
    a_p: float
    b: float
    b_p: float
    indirect: float
    direct: float
    total: float
    p: float
    inconsistent: bool
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeLeft:
    """A repository, or a column of one, that the recipe cannot use, and why."""

    repository: str
    column: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The published recipe over every repository.

    Attributes:
        until: rows with a timestamp before this were used; empty: all rows.
        n: rows used, flagged ones included, as published.
        validated: edges that pass the recipe's own rule, ``contradicted`` of them by the sound analysis.
    """

    sentences: tuple[Sentence, ...]
    until: str
    n: int
    edges: tuple[RecipeEdge, ...] = ()
    paths: tuple[RecipePath, ...] = ()
    left: tuple[RecipeLeft, ...] = ()
    validated: int = 0
    compared: int = 0
    contradicted: int = 0
