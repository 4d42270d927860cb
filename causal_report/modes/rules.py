"""Every threshold by which modes are compared, in one place, each with its reason."""

from __future__ import annotations

ALPHA = 0.05
"""Error rate of every interval and of the four questions of a verdict together."""
MARGIN = 0.10
"""Equivalence margin: changes of level or of a step's effect within ±10 % are called bounded.

About the spread between repeated trainings of one program on one machine; a change that drowns in it
gives no reason to treat the modes apart.
"""
STRENGTH = 0.1
"""Least difference of an edge's strength, as the study's plan of the mode comparison sets it."""
PRESENT = 0.5
"""An edge is in a graph when at least half of the posterior weight has it."""
SURE, SURELY_NOT = 0.8, 0.2
"""In one mode only: at least 0.8 of the weight there and at most 0.2 in the other, so that an edge that
hovers about one half in both does not count as a change."""
SMALL = 40
"""Fewer runs in a mode call for a strategy for small groups: the least n that DiBS is given too."""
LEAST = 8
"""Fewer runs in a mode are only described: an interval of fewer rests on single runs."""
LEAST_DF = 8
"""Residual degrees of freedom that an adjustment must leave."""
RUNS_A_COLUMN = 4
"""Other factors are adjusted for while there are at least so many runs a column of the regression."""
EXPLORATORY = 20
"""Fewer runs in a mode mark an answer as exploratory, as for effects."""
DRAWS = 199
"""Permutations of the labels of the mode: the smallest p is 0.005."""
RESAMPLES = 1000
STABLE = 0.95
"""Share of resamples that must have the estimate's sign for a small group's own answer to be used."""
