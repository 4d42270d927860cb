"""What a session holds of its host while it runs: the lock, the governor, the GPUs' power limits."""

from __future__ import annotations

import atexit
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import UsageError
from energy_plugin.meters.select import environ_of
from energy_plugin.run.governor import Governor
from energy_plugin.run.lock import HostLock
from energy_plugin.run.powerlimit import PowerLimits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_plugin.declare.case import Case
    from energy_plugin.options import Options

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Hold:
    """Takes the host for one session, changes what was asked for, and puts everything back.

    What is to be put back is written into the lock before it is changed: after a SIGKILL the next
    session on the host does it.

    Args:
        lock: the file of the lock, the host's own when None.
        governor: to set, empty for none.
        limits_w: GPU power limits that cases want.
        gpus: UUIDs of the GPUs that the limits are for, all when empty.
        sysfs: where the kernel's tree is.

    Attributes:
        notes: what was put back after a session that was killed, one line each.
        faults: what this session could not put back.
        limits: of the GPUs.
    """

    def __init__(
        self,
        *,
        lock: Path | None = None,
        governor: str = "",
        limits_w: Sequence[float] = (),
        gpus: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        sysfs: Path | None = None,
    ) -> None:
        self._lock = HostLock(lock)
        self._wanted = governor
        self._limits_w = tuple(limits_w)
        self._governor = Governor(sysfs or Path("/sys"))
        self._told: dict[str, Any] = {}
        self._left: dict[str, Any] = {}
        self._before: dict[str, str] = {}
        self.limits = PowerLimits(gpus, environ=environ)
        self.notes: list[str] = []
        self.faults: list[str] = []

    @property
    def taken(self) -> bool:
        """Whether the host is this session's."""
        return self._lock.taken

    def take(self, results: Path) -> None:
        """Take the host; safe twice. What a killed session left changed is put back.

        Raises:
            UsageError: another session has it.
        """
        if self._lock.taken:
            return
        self._told = {"folder": str(results), "boot": _boot()}
        self._lock.take(self._told)
        if self._lock.shared and (self._wanted or self._limits_w):
            self._lock.release()
            raise UsageError(
                "the governor and power limits are set by the session that measures this one: give them there"
            )
        atexit.register(self.release)
        self._left = self._mend(self._lock.left)
        self._tell(**self._left)

    def _mend(self, left: dict[str, Any]) -> dict[str, Any]:
        """Undo what is left of a session that was killed; what could not be undone."""
        if left.get("boot") != self._told["boot"]:
            return {}  # a new start of the host has undone it
        who = f"a session that was killed (pid {left.get('pid')})"
        governor = {str(k): str(v) for k, v in (left.get("governor") or {}).items()}
        limits = {str(k): float(v) for k, v in (left.get("power_limits_w") or {}).items()}
        failed = self._governor.restore(governor) if governor else []
        stuck = PowerLimits().restore(limits) if limits else []
        if governor:
            self.notes.append(_told("the governor", who, failed))
        if limits:
            self.notes.append(_told("the power limit", who, stuck))
        return _of(
            {"governor": governor, "power_limits_w": limits}, {"governor": failed, "power_limits_w": stuck}
        )

    def change(self, folder: Path) -> None:
        """Set the governor, and find out whether power limits may be set.

        Args:
            folder: of the session, for whoever is refused meanwhile.

        Raises:
            UsageError: it cannot be; nothing stays changed.
        """
        self._tell(folder=str(folder))
        if self._wanted:
            self._before = self._governor.now()
            self._tell(governor={**self._before, **self._left.get("governor", {})})
            self._governor.set(self._wanted)
        if self._limits_w:
            limits_w = self.limits.open(self._limits_w)
            self._tell(power_limits_w={**limits_w, **self._left.get("power_limits_w", {})})

    def facts(self) -> dict[str, Any]:
        """For session.json: how many processors had which governor before, and have now."""
        before = self._before or self._governor.now()
        return {
            "asked": self._wanted,
            "before": dict(Counter(before.values())),
            "during": dict(Counter(self._governor.now().values())),
        }

    def release(self) -> None:
        """Put everything back and give the host away; safe twice."""
        if not self._lock.taken:
            return
        failed, stuck = self._governor.restore(), self.limits.restore()
        self.faults += [_told("the governor", "this session", failed)] if failed else []
        self.faults += [_told("the power limit", "this session", stuck)] if stuck else []
        left = _of(self._told, {"governor": failed, "power_limits_w": stuck}, self._left)
        self._lock.release({"boot": self._told["boot"], **left} if left else None)
        atexit.unregister(self.release)

    def _tell(self, **facts: Any) -> None:
        self._told |= facts
        self._lock.note(self._told)


def hold_of(options: Options, plan: Sequence[Case]) -> Hold:
    """As the options and the power limits of these cases say."""
    limits_w = sorted({case.power_limit_w for case in plan if case.power_limit_w is not None})
    return Hold(
        lock=options.lock,
        governor=options.governor,
        limits_w=limits_w,
        gpus=options.gpus,
        environ=environ_of(options),
        sysfs=options.sysfs,
    )


def _told(what: str, who: str, failed: Sequence[str]) -> str:
    if failed:
        return f"{what} that {who} changed could NOT be put back for {', '.join(failed)}: do so by hand"
    return f"put back {what} that {who} had changed"


def _of(
    values: Mapping[str, Any], names: Mapping[str, Sequence[str]], more: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Of each kind the values of these names, and what *more* has of it; kinds without any are left out."""
    found = {
        kind: {**{name: values[kind][name] for name in listed}, **(more or {}).get(kind, {})}
        for kind, listed in names.items()
    }
    return {kind: some for kind, some in found.items() if some}


def _boot() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
