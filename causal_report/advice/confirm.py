"""The experiment that would confirm a setting: a block of our own design file, with its replicates."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from causal_report.findings.advice import AdviceTest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from causal_report.advice.judge import Judged
    from causal_report.findings.advice import AdviceChange, AdviceSetting
    from causal_report.text import Text

POWER, ALPHA = 0.8, 0.05
FEWEST, MOST = 3, 60
"""Three replicates give a spread at all; more than sixty of a training are not practicable."""
TINY = 1e-9
LARGE, UNPRACTICABLE = 1000, 20_000
SURE, HOPELESS = 4.0, 0.03
"""Standardised differences beyond which three replicates do, and below which twenty thousand would not."""


def test(judged: Judged, setting: AdviceSetting, margin: float, number: int, text: Text) -> AdviceTest | None:
    """Advised setting against the reference; None where our design files cannot say it."""
    group = judged.group
    wanted = replicates(
        saving=abs(math.log(setting.ratio)),
        spread=judged.sd_log_joules,
        room=[margin + min(0.0, metric.change) for metric in setting.metrics],
        spreads=judged.sd_metrics,
    )
    if wanted > LARGE:
        return AdviceTest(replicates=0, wanted=wanted, block="")
    count = min(max(wanted, FEWEST), MOST)
    lines = _block(judged, setting, count, number)
    if lines is None:
        return None
    place = text("advice.place." + group.mode, model=group.model, partner=group.partner)
    head = f"# {text('advice.test.' + ('confirm' if setting.safe else 'settle'), place=place)}"
    more = [f"# {text('advice.test.many', wanted=wanted)}"] if wanted > count else []
    return AdviceTest(replicates=count, wanted=wanted, block="\n".join([head, *more, *lines]))


def replicates(*, saving: float, spread: float, room: Sequence[float], spreads: Sequence[float]) -> int:
    """Runs of either setting for 80 % power (Cohen 1988) in all of the tests.

    Args:
        saving: difference of log energy to be seen at 5 %, two-sided.
        spread: residual standard deviation of log energy.
        room: of each metric, the margin less the loss that is expected, as a share of the reference;
            a loss beyond it is to be excluded at 5 %, one-sided.
        spreads: residual standard deviation of each metric, as a share of its reference.
    """
    needs = [_runs(saving, spread, "two-sided")]
    needs += [_runs(left, sd, "larger") for left, sd in zip(room, spreads, strict=True)]
    return max(needs)


def ease(judged: Judged, setting: AdviceSetting, margin: float) -> float:
    """How easily an experiment would show *setting* safe: its hardest test's standardised difference.

    Each is divided by the sum of the normal quantiles of level and power, which is what n goes by.
    """
    from scipy.special import ndtri

    needs = [(1 - ALPHA / 2, -math.log(setting.ratio), judged.sd_log_joules)]
    needs += [
        (1 - ALPHA, margin + min(0.0, metric.change), sd)
        for metric, sd in zip(setting.metrics, judged.sd_metrics, strict=True)
    ]
    return min(left / max(sd, TINY) / float(ndtri(level) + ndtri(POWER)) for level, left, sd in needs)


def file(blocks: Iterable[str], text: Text) -> str:
    """A design file of *blocks*; empty where there is none."""
    found = list(blocks)
    if not found:
        return ""
    head = [f"# {text('advice.test.file')}", 'name = "advice"', f"title = {_word(text('advice.test.title'))}"]
    return "\n".join(head) + "\n\n" + "\n\n".join(found) + "\n"


def _runs(difference: float, spread: float, alternative: str) -> int:
    """The least n of either group with the power wanted: found by halving, power only grows with n."""
    from statsmodels.stats.power import TTestIndPower

    size = SURE if spread <= 0 and difference > 0 else difference / spread if spread > 0 else 0.0
    if size >= SURE:
        return FEWEST
    if size < HOPELESS:
        return UNPRACTICABLE

    def enough(n: int) -> bool:
        return float(TTestIndPower().power(size, n, ALPHA, alternative=alternative)) >= POWER

    high = FEWEST  # doubled from below: far above what is needed the power comes out as not a number
    while not enough(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return max(high, FEWEST)


def _block(judged: Judged, setting: AdviceSetting, count: int, number: int) -> list[str] | None:
    group, facts = judged.group, judged.unit.facts
    lines = ["[[experiments]]", f'name = "advice_{number}"', f"replicates = {count}"]
    if group.mode == "background" and not facts:
        return None  # nobody knows beside what it ran
    role = setting.changes[0].role
    if group.mode == "pair":
        # a design changes the second program of a pair: the one that is advised comes second
        pair = (group.partner, group.model) if role == "a" else (group.model, group.partner)
        lines += [f"pairs = [[{', '.join(map(_word, pair))}]]", "alone = false"]
    else:
        lines.append(f"select = {_word(group.model)}")
    if facts:
        company = ", ".join(f"{key} = {_word(value)}" for key, value in facts.items())
        lines.append(f"background = {{ {company} }}")
    run = _values({c.factor: c.value for c in setting.changes})
    base = _values(_base(group.start, role))
    return [*lines, f'design = {{ kind = "explicit", default = true, base = {base}, runs = [{run}] }}']


def _base(start: Sequence[AdviceChange], role: str) -> dict[str, float]:
    """The reference setting of the program that is changed."""
    return {change.factor: change.reference for change in start if change.role == role}


def _values(setting: Mapping[str, float]) -> str:
    inner = ", ".join(
        f"{factor.removeprefix('design_')} = {_number(value)}" for factor, value in setting.items()
    )
    return f"{{ {inner} }}"


def _number(value: float) -> str:
    """A TOML number: whole where it is whole, else with every digit."""
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


def _word(word: str) -> str:
    """A TOML text: JSON's quoting is valid there."""
    return json.dumps(word, ensure_ascii=False)
