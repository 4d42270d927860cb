"""The verdict of a group: one of the plan's four scenarios, or left open.

The rule. Four questions are asked of a group, each with one p (Simes 1986 over its tests, which is the
smallest Benjamini-Hochberg q): does the mode move energy, power or duration (step 1); does it change what
factors do to them (step 3); do the graphs differ (step 2); do indirect effects differ (step 4)? Holm (1979)
corrects the four, so that all of them together raise a false alarm in at most one table of twenty.

Step 3 says yes only where a clear change of a slope reaches beyond the margin: smaller ones mislead nobody.

4, structure changes: step 2 or 3 says yes, and a factor moves energy, power or duration in one mode only,
there by more than the margin. 3, interaction: step 3 or 4 says yes. 2, main effect only: step 1 says yes.
1, no effect: none says yes, and the intervals of energy and duration and of every change of a slope lie
within the margin. Else left open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report import number, regression
from causal_report.findings.modes import ModeVerdict
from causal_report.findings.sentence import Sentence
from causal_report.modes import main, rules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Literal

    from causal_report.findings.modes import (
        ModeEdge,
        ModeEffect,
        ModeInteraction,
        ModePath,
        ModeStrategy,
        ModeStructure,
    )
    from causal_report.text import Text

    Name = Literal["no effect", "main effect only", "interaction", "structure changes", "left open"]

NAMES: Mapping[int | None, Name] = {
    1: "no effect",
    2: "main effect only",
    3: "interaction",
    4: "structure changes",
    None: "left open",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the four steps found in one group.

    Attributes:
        effects: rows of the group and of its models.
        interactions: rows of the group as a whole.
        costs: names of energy, power and duration; ``energy`` the first of them.
        strategy: how a small group's level is answered, None for one that is not small.
    """

    group: str
    n_alone: int
    n_background: int
    effects: tuple[ModeEffect, ...]
    interactions: tuple[ModeInteraction, ...]
    structure: ModeStructure | None
    paths: tuple[ModePath, ...]
    costs: Collection[str]
    energy: str
    strategy: ModeStrategy | None

    @property
    def gate(self) -> bool:
        """Whether any test of step 1 has p < 0.05: the plan then asks for steps 2 and 4."""
        return gate(self.effects)

    @property
    def level(self) -> ModeEffect | None:
        """The group's row of energy, or of duration where no joules exist."""
        return next((e for e in self.effects if e.metric == self.energy and not e.model), None)


def gate(effects: Iterable[ModeEffect]) -> bool:
    """The plan's decision after step 1."""
    found = [p for e in effects for p in (e.t_p, e.welch_p, e.p) if p is not None]
    return any(p < rules.ALPHA for p in found)


def simes(p: Iterable[float | None]) -> float | None:
    """One p that none of the tests has anything to find (Simes 1986)."""
    q = [value for value in regression.benjamini_hochberg(list(p)) if value is not None]
    return min(q, default=None)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (1979) over those that are not None."""
    known = sorted((value, index) for index, value in enumerate(p) if value is not None)
    found: list[float | None] = [None] * len(p)
    most = 0.0
    for rank, (value, index) in enumerate(known):
        most = max(most, min(1.0, value * (len(known) - rank)))
        found[index] = most
    return found


def judge(evidence: Evidence, text: Text) -> ModeVerdict:
    """The scenario of one group, in numbers and in words."""
    structure = evidence.structure
    p = [
        _main_p(evidence),
        simes(i.p for i in evidence.interactions if i.outcome in evidence.costs),
        structure.p if structure else None,
        simes(path.p for path in evidence.paths),
    ]
    corrected = holm(p)
    bound = _bound(evidence)
    scenario = _scenario(evidence, corrected, bound)
    return ModeVerdict(
        group=evidence.group,
        scenario=scenario,
        name=NAMES[scenario],
        n_alone=evidence.n_alone,
        n_background=evidence.n_background,
        main_p=p[0],
        interaction_p=p[1],
        structure_p=p[2],
        path_p=p[3],
        main_holm=corrected[0],
        interaction_holm=corrected[1],
        structure_holm=corrected[2],
        path_holm=corrected[3],
        margin_pct=100 * rules.MARGIN,
        bound_pct=bound,
        gate=evidence.gate,
        exploratory=min(evidence.n_alone, evidence.n_background) < rules.SMALL,
        sentence=_sentence(evidence, scenario, bound, text),
        meaning=_say(text, _meaning(evidence, scenario)),
    )


def _main_p(evidence: Evidence) -> float | None:
    """Of step 1; where a small group's own answer does not survive resampling, at least one half."""
    p = simes(e.p for e in evidence.effects if e.metric in evidence.costs)
    again = evidence.strategy
    if p is None or again is None or again.same_sign is None:
        return p
    moved = evidence.level is not None and evidence.level.p is not None and evidence.level.p < rules.ALPHA
    return max(p, 0.5) if moved and again.same_sign < rules.STABLE else p


def _bound(evidence: Evidence) -> float | None:
    """The largest change of energy and duration that the group's intervals leave possible, per cent."""
    wanted = {evidence.energy, "duration_seconds"}
    found = [main.bound_pct(e) for e in evidence.effects if e.metric in wanted]
    known = [value for value in found if value is not None]
    return max(known) if known and len(known) == len(found) else None


def one_mode_edges(evidence: Evidence) -> list[ModeEdge]:
    """Edges of factors into energy, power or duration that one mode surely has and the other surely has not.

    Of what was set only: a temperature that goes with energy in one mode is nothing to choose by mode.
    """
    edges = evidence.structure.edges if evidence.structure else ()
    return [
        e
        for e in edges
        if e.child in evidence.costs
        and e.parent.startswith("design_")
        and max(e.exact_alone, e.exact_background) >= rules.SURE
        and min(e.exact_alone, e.exact_background) <= rules.SURELY_NOT
        and e.strength is not None
        and abs(e.strength) > rules.STRENGTH
        and e.strength_q is not None
        and e.strength_q < rules.ALPHA
    ]


def switched(evidence: Evidence) -> list[ModeInteraction]:
    """Factors that move energy, power or duration beyond the margin in one mode, in the other within it."""
    return [
        i
        for i in changed(evidence)
        if i.switched and any(s.verdict == "clear" and abs(s.estimate) > i.margin for s in i.slopes)
    ]


def changed(evidence: Evidence) -> list[ModeInteraction]:
    """Slopes that clearly change with the mode and may do so beyond the margin, the clearest first.

    Clear by Benjamini-Hochberg within the group, so that other groups have no say in it.
    """
    tested = [i for i in evidence.interactions if i.outcome in evidence.costs and i.p is not None]
    q = regression.benjamini_hochberg([i.p for i in tested])
    clear = [
        i for i, v in zip(tested, q, strict=True) if v is not None and v < rules.ALPHA and not _within(i)
    ]
    return sorted(clear, key=lambda i: (i.p or 0.0, i.factor, i.outcome))


def _scenario(evidence: Evidence, holm_p: Sequence[float | None], bound: float | None) -> int | None:
    if min(evidence.n_alone, evidence.n_background) < rules.LEAST:
        return None
    level, slopes, graph, path = (p is not None and p < rules.ALPHA for p in holm_p)
    slopes = slopes and bool(changed(evidence))
    if (slopes or graph) and (switched(evidence) or one_mode_edges(evidence)):
        return 4
    if slopes or path:
        return 3
    if level:
        return 2
    return 1 if _bounded(bound) and not _doubtful(evidence) and _asked(evidence) else None


def _bounded(bound: float | None) -> bool:
    return bound is not None and bound <= 100 * rules.MARGIN


def _within(item: ModeInteraction) -> bool:
    return item.lo is not None and item.hi is not None and max(abs(item.lo), abs(item.hi)) <= item.margin


def _sentence(evidence: Evidence, scenario: int | None, bound: float | None, text: Text) -> Sentence:
    level = evidence.level
    common = {
        "group": evidence.group,
        "n_alone": evidence.n_alone,
        "n_background": evidence.n_background,
        "outcome": level.label if level else "energy",
        "margin": number.unsigned(100 * rules.MARGIN),
        "bound": number.unsigned(bound),
        "change": number.percent(level.pct) if level else "–",
        "lo": number.percent(level.pct_lo) if level else "–",
        "hi": number.percent(level.pct_hi) if level else "–",
    }
    if level is None or level.estimate is None:
        why = level.reason if level else "no run has it"
        return _say(text, "scenario_few", **common, reason=why)
    key = f"scenario_{scenario or 'open'}"
    doubtful = _doubtful(evidence)
    if scenario == 2 and doubtful:
        return _say(text, "scenario_2_open", **common, open=", ".join(doubtful))
    if scenario == 2 and not _asked(evidence):
        return _say(text, "scenario_2_untested", **common)
    if scenario is None and _bounded(bound):
        left = ", ".join(doubtful) or text("modes.any_factor")
        return _say(text, "scenario_open_slopes", **common, open=left)
    if scenario in (3, 4):
        return _say(text, key, **common, factors=_named(evidence, scenario))
    return _say(text, key, **common)


def _doubtful(evidence: Evidence) -> list[str]:
    """Factors whose effect on energy may or may not change with the mode by more than the margin."""
    return [i.factor_label for i in evidence.interactions if i.outcome == evidence.energy and not _within(i)]


def _asked(evidence: Evidence) -> bool:
    """Whether any factor varied in both modes, so that its effect on energy could change."""
    return any(i.outcome == evidence.energy for i in evidence.interactions)


def _meaning(evidence: Evidence, scenario: int | None) -> str:
    if scenario == 2 and (_doubtful(evidence) or not _asked(evidence)):
        return "meaning_2_open"
    return f"meaning_{scenario or 'open'}"


def _named(evidence: Evidence, scenario: int) -> str:
    """What carries the verdict: factor and outcome, or the path, the clearest first."""
    if scenario == 4:
        pairs = [(i.factor_label, i.outcome_label) for i in switched(evidence)]
        pairs += [(e.parent_label, e.child_label) for e in one_mode_edges(evidence)]
    else:
        pairs = [(i.factor_label, i.outcome_label) for i in changed(evidence)]
    words: dict[str, list[str]] = {}
    for factor, outcome in pairs:
        if outcome not in words.setdefault(factor, []):
            words[factor].append(outcome)
    return (
        "; ".join(f"{factor} (on {', '.join(outs)})" for factor, outs in words.items()) or "indirect effects"
    )


def _say(text: Text, key: str, **values: object) -> Sentence:
    return Sentence(key=f"modes.{key}", text=text(f"modes.{key}", **values))
