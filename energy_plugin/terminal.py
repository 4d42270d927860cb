"""What a person sees while a session runs: plan, header, status words, progress, summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energy_plugin.run.host import host_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_plugin.declare.case import Case
    from energy_plugin.declare.catalog import Catalog
    from energy_plugin.record.record import Record
    from energy_plugin.record.trace import Channel
    from energy_plugin.run.session import Session

PROPERTY = "energy"
"""Name of the user property that carries a case's status word."""
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
    return f"{value:.0f} J" if value >= 100 else f"{value:.3g} J"


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
    left = span(session.estimate_s(session.plan))
    yield f"energy: {len(session.plan)} cases, about {left}; results in {session.folder}"


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


def progress(session: Session) -> str:
    """How far the session is, and how long it will still take."""
    done, planned = session.cases_done, len(session.plan)
    end = "done" if done == planned else f"about {span(session.left_s())} left"
    return f"energy: {done} of {planned} cases, {span(session.elapsed_s())} so far, {end}"


def plan_lines(catalog: Catalog, cases: Sequence[Case], seconds: float | None) -> Iterator[str]:
    """The plan by model: cases and expected time."""
    from energy_plugin.run.session import guess_s

    yield f"energy: plan of {len(cases)} cases, about {span(seconds)}"
    names = ["+".join(f"{p.repository}/{p.model}" for p in case.programs) for case in cases]
    for name in dict.fromkeys(names):
        mine = [case for case, own in zip(cases, names, strict=True) if own == name]
        guesses = [guess_s(catalog, case) for case in mine]
        known = [guess for guess in guesses if guess is not None]
        time = span(sum(known)) if len(known) == len(mine) else "an unknown time"
        yield f"energy:   {name}: {len(mine)} cases, about {time}"


def summary(session: Session) -> Iterator[str]:
    """One line a model and what failed; the report's path comes later, when it is written."""
    by_model: dict[str, list[Record]] = {}
    for record in session.done:
        name = "+".join(f"{p.repository}/{p.model}" for p in record.case.programs)
        by_model.setdefault(name, []).append(record)
    for name, found in by_model.items():
        good = [record for record in found if record.success]
        seconds = sum(record.duration_s for record in found)
        totals = [record.total().joules for record in found]
        known = [value for value in totals if value is not None]
        measured = (
            f"{joules(sum(known))} measured in {len(known)} attempts" if known else "no joules measured"
        )
        yield f"{name}: {len(good)} of {len(found)} attempts succeeded, {span(seconds)}, {measured}"
    if session.cases_done < len(session.plan):
        yield f"INCOMPLETE: {session.cases_done} of {len(session.plan)} cases"
    yield f"results: {session.folder}"
