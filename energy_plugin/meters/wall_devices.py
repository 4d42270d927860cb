"""What each kind of wall meter says: from its printed text to joules, their resolution and watts.

Numbers stay as they were printed (``Decimal``) until their last digit has been looked at: the place of
that digit is the resolution of this one reading. Displays with a fixed number of digits get coarser as
the number grows (9.966 kWh, then 12.51 kWh), so a resolution belongs to a reading, not to a device.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NamedTuple

from energy_plugin.meters.polling import SensorError

if TYPE_CHECKING:
    from collections.abc import Callable

JOULES = {"J": 1, "kJ": 1000, "MJ": 1_000_000, "Wh": 3600, "kWh": 3_600_000}
WATTS = {"mW": Decimal("0.001"), "W": Decimal(1), "kW": Decimal(1000)}
WATT_MINUTE, WATT_HOUR, KILOWATT_HOUR = 60, 3600, 3_600_000
SPOKEN = {"joule": "J", "joules": "J", "watt": "W", "watts": "W"}
FLOAT_DIGITS = 15
"""More digits than this are a computer's float and no display ..."""
KEPT_DIGITS = 12
"""... of which so many are believed."""
MOST_WATTS = 100_000.0


class Shown(NamedTuple):
    """One reading of a wall meter: cumulative joules, in steps of ``resolution_j``, and watts, if known."""

    joules: float | None
    resolution_j: float
    power_w: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A kind of wall meter.

    Attributes:
        path: where a bare host is asked.
        looks: whether an answer is of this kind.
        read: what an answer says; raises :class:`SensorError`.
        counter_text: what its counter is, for people.
    """

    kind: str
    path: str
    looks: Callable[[Any], bool]
    read: Callable[[Any], Shown]
    counter_text: str


def decode(text: str) -> Any:
    """JSON with its numbers as printed.

    Raises:
        SensorError: ``garbage``, no JSON.
    """

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no number")

    try:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=refuse)
    except (ValueError, InvalidOperation, RecursionError) as error:
        shown = " ".join(text.split())[:80]
        raise SensorError("garbage", f"no JSON ({error}): {shown!r}") from None


def resolution(printed: Decimal) -> Decimal:
    """The place of the last digit: 0.001 of ``9.966`` and of ``9.960``, 1 of ``120``, 100 of ``1.2E+3``."""
    return Decimal(1).scaleb(int(_believed(printed).as_tuple().exponent))


def _believed(printed: Decimal) -> Decimal:
    if len(printed.as_tuple().digits) <= FLOAT_DIGITS:
        return printed
    return +printed.normalize().quantize(Decimal(1).scaleb(printed.adjusted() - KEPT_DIGITS + 1)).normalize()


def _number(data: Any, name: str) -> Decimal:
    """The number *name* of *data*.

    Raises:
        SensorError: ``no-metering`` where it is absent, ``several-meters`` for a list, ``garbage``.
    """
    value = data.get(name) if isinstance(data, dict) else None
    if value is None:
        raise SensorError("no-metering", f"no {name!r} in the answer: this device does not meter")
    if isinstance(value, list):
        raise SensorError("several-meters", f"{name!r} is a list of {len(value)}: several meters in one")
    if not isinstance(value, Decimal) or not value.is_finite():
        raise SensorError("garbage", f"{name!r} is {str(value)[:40]!r} and no number")
    return value


def shown(counted: Decimal | None, unit_j: int, power_w: Decimal | None) -> Shown:
    """Joules and watts from what was printed.

    Raises:
        SensorError: ``implausible``, a power no outlet gives or a counter below zero.
    """
    if power_w is not None and not 0 <= power_w <= Decimal(MOST_WATTS):
        raise SensorError("implausible", f"{power_w} W at the wall")
    if counted is not None and counted < 0:
        raise SensorError("implausible", f"the counter stands at {counted}, below zero")
    return Shown(
        joules=None if counted is None else float(_believed(counted) * unit_j),
        resolution_j=0.0 if counted is None else float(resolution(counted) * unit_j),
        power_w=None if power_w is None else float(power_w),
    )


# --- Shelly, first generation ---


def _is_shelly1(data: Any) -> bool:
    return isinstance(data, dict) and ("meters" in data or "emeters" in data or {"is_valid"} <= data.keys())


def _shelly1(data: Any) -> Shown:
    """``/meter/N`` and ``/status`` count watt-minutes; the meters of Shelly EM (``/emeter/N``) watt-hours."""
    several = "emeters" if data.get("emeters") else "meters"
    unit_j = WATT_HOUR if several == "emeters" or "voltage" in data else WATT_MINUTE
    if several in data:
        if len(data[several]) != 1:
            found = len(data[several])
            raise SensorError("several-meters", f"{found} meters in /status: give /{several[:-1]}/N")
        data = data[several][0]
    if data.get("is_valid") is False:
        raise SensorError("meter-invalid", "the device says that its own meter fails (is_valid is false)")
    return shown(_number(data, "total"), unit_j, _number(data, "power"))


# --- Shelly, second generation and later ---


def _is_shelly2(data: Any) -> bool:
    return isinstance(data, dict) and (
        "aenergy" in data or "apower" in data or {"id", "output"} <= data.keys()
    )


def _shelly2(data: Any) -> Shown:
    """``Switch.GetStatus`` and ``PM1.GetStatus``: ``aenergy.total`` in watt-hours, ``apower`` in watts."""
    return shown(_number(data.get("aenergy"), "total"), WATT_HOUR, _number(data, "apower"))


# --- Tasmota ---


def _is_tasmota(data: Any) -> bool:
    return isinstance(data, dict) and ("StatusSNS" in data or "need user" in str(data).lower())


def _tasmota(data: Any) -> Shown:
    """``Status 8``: ``Total`` in kilowatt-hours with the digits of ``EnergyRes``, ``Power`` in watts."""
    if "StatusSNS" not in data:  # sent with HTTP 200
        raise SensorError("no-permission", f"the device says: {str(data)[:80]}")
    energy = data["StatusSNS"].get("ENERGY") if isinstance(data["StatusSNS"], dict) else None
    return shown(_number(energy, "Total"), KILOWATT_HOUR, _number(energy, "Power"))


DEVICES = {
    device.kind: device
    for device in (
        Device(
            kind="shelly1",
            path="/meter/0",
            looks=_is_shelly1,
            read=_shelly1,
            counter_text="watt-minutes",
        ),
        Device(
            kind="shelly2",
            path="/rpc/Switch.GetStatus?id=0",
            looks=_is_shelly2,
            read=_shelly2,
            counter_text="watt-hours",
        ),
        Device(
            kind="tasmota",
            path="/cm?cmnd=Status%208",
            looks=_is_tasmota,
            read=_tasmota,
            counter_text="kilowatt-hours",
        ),
    )
}


def recognise(data: Any) -> Device:
    """The kind of device that answers like this.

    Raises:
        SensorError: ``unknown-device``.
    """
    for device in DEVICES.values():
        if device.looks(data):
            return device
    raise SensorError("unknown-device", f"no Shelly or Tasmota answers like this: {str(data)[:80]}")


# --- any command ---

LINE = re.compile(r"([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*([A-Za-z]+)")


def read_command(text: str) -> Shown:
    """``123.4 J``, ``45 W`` (one a line, either or both), or JSON with ``joules`` and/or ``watts``.

    Raises:
        SensorError: ``bad-unit`` for a number in another unit or in none, ``garbage`` for anything else.
    """
    if text.lstrip().startswith("{"):
        data = decode(text)
        if not {"joules", "watts"} & data.keys():
            raise SensorError("bad-unit", f"JSON has neither joules nor watts, but {sorted(data)[:5]}")
        counted, power = (_number(data, key) if key in data else None for key in ("joules", "watts"))
        return shown(counted, 1, power)
    counted, power, unit_j = None, None, 1
    for line in filter(None, map(str.strip, text.splitlines())):
        number, unit = _quantity(line)
        if unit in JOULES and counted is None:
            counted, unit_j = number, JOULES[unit]
        elif unit in WATTS and power is None:
            power = number * WATTS[unit]
        elif unit in JOULES or unit in WATTS:
            raise SensorError("garbage", f"a second reading in {unit}: print one")
        else:
            raise SensorError("bad-unit", f"{line[:80]!r}: no unit of {', '.join([*JOULES, *WATTS])}")
    if counted is None and power is None:
        raise SensorError("garbage", "the command printed nothing")
    return shown(counted, unit_j, power)


def _quantity(line: str) -> tuple[Decimal, str]:
    found = LINE.fullmatch(line)
    if found:
        return Decimal(found[1]), SPOKEN.get(found[2].lower(), found[2])
    try:
        float(line)
    except ValueError:
        raise SensorError("garbage", f"{line[:80]!r}: print such as '123.4 J' or '45 W'") from None
    raise SensorError("bad-unit", f"{line[:80]!r} has no unit: print such as '{line[:20]} J'")
