"""What a person sees while a session runs: plan, header, status words, progress, summary."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from energy_plugin.record.record import RANK
from energy_plugin.run.host import host_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from energy_plugin.declare.case import Case
    from energy_plugin.record.record import Record, Total
    from energy_plugin.record.trace import Channel
    from energy_plugin.run.session import Session

PROPERTY = "energy"
"""Name of the user property that carries a case's status word."""
WIDE = 0.05
"""Bounds further than this share from the value are told with it."""
NO_METER = "energy: NO DIRECT METER LIVES HERE: joules are estimates; wattwhy doctor says how to mend it"


def span(seconds: float | None) -> str:
    """Seconds for people: ``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds is None:
        return "an unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def joules(value: float) -> str:
    """Joules with three figures or more, without an exponent."""
    return f"{value:.0f} J" if abs(value) >= 100 else f"{value:.3g} J"


def status_word(record: Record) -> str:
    """Joules if a meter measured any; else seconds, with what an estimator says."""
    total = record.total()
    seconds = f"{record.duration_s:.1f} s"
    if total.joules is not None:
        sign = "" if total.status == "measured" else f" {total.status}"
        return f"{joules(total.joules)}{sign} {seconds}"
    for name, estimate in record.estimates().items():
        if estimate.joules is not None:
            return f"{seconds} (about {joules(estimate.joules)} by {name})"
    return seconds


def header(session: Session, data: dict[str, str]) -> Iterator[str]:
    """Host, meters alive or why not, executor, seed, data, folder."""
    facts = session.facts
    yield f"energy: {host_line(facts['host'])}"
    yield f"energy: executor {facts['executor']} ({facts['base']}), seed {facts['order']['seed']}"
    for line in channel_lines(session.probed.channels):
        yield f"energy: {line}"
    if not session.probed.direct:
        yield NO_METER
    for name, entry in session.facts["catalogue"].items():
        if original := entry.get("original"):
            yield f"energy: {name} is the original in {original['folder']}, {revision(original)}"
    for name, where in sorted(data.items()):
        yield f"energy: data of {name}: {where}"
    for line in session.notes():
        yield f"energy: {line}"
    left = session.left()
    yield f"energy: {len(left)} cases, about {span(session.estimate_s(left))}; results in {session.folder}"


def sections_header(session: Session) -> Iterator[str]:
    """Meters alive or why not, and the folder, for a session of measured sections alone."""
    for line in channel_lines(session.probed.channels):
        yield f"energy: {line}"
    if not session.probed.direct:
        yield NO_METER
    yield f"energy: results in {session.folder}"


def revision(original: dict[str, Any]) -> str:
    """At which commit the user's checkout is, beside the one that its log patterns were made for."""
    at = f"commit {original['commit'][:12]}" if original["commit"] else "no commit of its own"
    changed = " with changes" if original["dirty"] else ""
    return f"{at}{changed} (read: {original['commit_read']} of {original['origin']})"


def channel_lines(channels: Sequence[Channel]) -> Iterator[str]:
    """One line a meter: what lives, and why the rest does not."""
    for meter in dict.fromkeys(channel.meter for channel in channels):
        mine = [channel for channel in channels if channel.meter == meter]
        alive = [f"{c.id} ({c.source})" for c in mine if c.alive]
        dead = [f"{c.id}: {c.reason}" for c in mine if not c.alive]
        parts = ["alive " + ", ".join(alive)] if alive else []
        parts += ["unavailable " + ", ".join(dead)] if dead else []
        yield f"{meter}: {'; '.join(parts)}"


def progress_line(session: Session, following: Case | None) -> str:
    """Done of all, failed, when the last one will be over, joules so far, and the case that is next."""
    progress = session.progress
    done, planned = session.cases_done, len(session.plan)
    parts = [f"{clock_time(datetime.now())} {done} of {planned} cases"]
    parts += [f"{progress.failed} failed"] if progress.failed else []
    parts += [f"{span(progress.elapsed_s())} so far"]
    if done < planned:
        left_s = progress.left_s()
        end = f" until {clock_time(datetime.now() + timedelta(seconds=left_s))}" if left_s is not None else ""
        parts.append(f"about {span(left_s)} left{end}")
    else:
        parts.append("done")
    parts.append(_energy(progress.energy()))
    if following is not None:
        parts.append(f"next {following.id}")
    return f"energy: {', '.join(parts)}"


def clock_time(moment: datetime) -> str:
    """Local time of day; with the day where it is another one."""
    return f"{moment:%H:%M:%S}" if moment.date() == datetime.now().date() else f"{moment:%d %b %H:%M}"


def _energy(energy: Mapping[str, Any]) -> str:
    if energy["joules"] is None:
        return "no joules measured"
    without = f" of a part ({energy['reason']})" if energy["status"] == "partial" and energy["reason"] else ""
    return f"{joules(energy['joules'])} {energy['status']}{without}"


def _sums(totals: Iterable[Total]) -> str:
    """Joules by status: what is not measured is never called so, nor added to what is."""
    known = [total for total in totals if total.joules is not None]
    by_status = {status: [total for total in known if total.status == status] for status in RANK}
    said = [_sum(status, found) for status, found in by_status.items() if found]
    return ", ".join(said) or "no joules measured"


def _sum(status: str, totals: Sequence[Total]) -> str:
    value_j = sum(total.joules or 0.0 for total in totals)
    bounds = between(value_j, *(sum(getattr(t, name) or 0.0 for t in totals) for name in ("lo_j", "hi_j")))
    attempts = f"{len(totals)} attempt{'' if len(totals) == 1 else 's'}"
    return f"{joules(value_j)} {status}{bounds} in {attempts}"


def between(value_j: float, lo_j: float, hi_j: float) -> str:
    """The bounds where these are far off, as of windows that are short; empty where they are near."""
    if (hi_j - lo_j) / 2 <= WIDE * value_j:
        return ""
    return f" (between {joules(lo_j)} and {joules(hi_j)})"


def summary(session: Session) -> Iterator[str]:
    """One line a model and what failed; the report's path comes later, when it is written."""
    by_model: dict[str, list[Record]] = {}
    for record in session.done:
        name = "+".join(f"{p.repository}/{p.model}" for p in record.case.programs)
        by_model.setdefault(name, []).append(record)
    for name, found in by_model.items():
        good = [record for record in found if record.success]
        seconds = sum(record.duration_s for record in found)
        energy = _sums(record.total() for record in found)
        yield f"{name}: {len(good)} of {len(found)} attempts succeeded, {span(seconds)}, {energy}"
    if session.cases_done < len(session.plan):
        yield f"INCOMPLETE: {session.cases_done} of {len(session.plan)} cases"
    yield from session.end_notes()
    yield f"results: {session.folder}"
