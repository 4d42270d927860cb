"""Values of options checked, each refusal with the mend; what the files they name hold is checked later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import UnknownNameError, UsageError
from energy_plugin.optiontable import BY_NAME, LEAST_MEMORY_GIB, METERS

if TYPE_CHECKING:
    from collections.abc import Mapping


def container(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of containers; without one they would say what nothing does."""
    checked = {
        "gpus": names_of(values["gpus"]),
        "memory": at_least("memory", values["memory"], 0.0),
        "cpus": at_least("cpus", values["cpus"], 0.0),
    }
    if 0 < checked["memory"] < LEAST_MEMORY_GIB:
        raise UsageError(f"--energy-memory {checked['memory']:g}: must be at least {LEAST_MEMORY_GIB:g} GiB")
    given = [name for name, value in checked.items() if value]
    if given and values["executor"] != "docker":
        listed = ", ".join(f"--energy-{name}" for name in given)
        raise UsageError(f"{listed}: only with --energy-executor docker")
    return checked


def names_of(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated list, without those that are empty."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def meters(text: str, replay: str, wall: str) -> tuple[str, ...]:
    """Names of meters; a plug that is named is read, whatever else is."""
    if replay and text == "auto":
        names: tuple[str, ...] = ("replay",)
    else:
        names = METERS if text == "auto" else names_of(text)
    for name in names:
        if name not in (*METERS, *BY_NAME):
            raise UnknownNameError("meter", name, (*METERS, *BY_NAME))
    if replay and "replay" not in names:
        raise UsageError(
            f"--energy-replay {replay}: is not read with --energy-meters {text}; leave one of them out"
        )
    if wall and "wall" not in names:
        names = (*names, "wall")
    if len(set(names)) < len(names) or ("replay" in names and len(names) > 1):
        # Two readings of one channel would be added up.
        raise UsageError(f"--energy-meters {','.join(names)}: name each meter once, and replay alone")
    if "replay" in names and not replay:
        raise UsageError("--energy-meters replay needs --energy-replay FILE")
    if "wall" in names and not wall:
        raise UsageError("--energy-meters wall needs a plug to read: --energy-wall NAME=http://HOST")
    return names


def at_least(name: str, value: Any, low: float) -> Any:
    """The value itself, if it is a finite number and not below *low*."""
    if not low <= value < float("inf"):
        raise UsageError(f"--energy-{name} {value}: must be a number of at least {low:g}")
    return value


def path_of(text: str, root: Path) -> Path | None:
    """An absolute path; a relative one is *root*'s. None for an empty text."""
    return (root / Path(text).expanduser()).resolve() if text else None


def folder(name: str, text: str, root: Path) -> Path | None:
    """A folder that exists, None for an empty text."""
    path = path_of(text, root)
    if path is not None and not path.is_dir():
        raise UsageError(f"--energy-{name} {text}: no such folder")
    return path


def sysfs(text: str, root: Path) -> Path | None:
    """A folder that looks like ``/sys``, None for an empty text."""
    path = folder("sysfs", text, root)
    if path is not None and not any((path / part).is_dir() for part in ("class", "bus")):
        raise UsageError(f"--energy-sysfs {text}: neither class/ nor bus/ is in it, so it is no /sys")
    return path


def checkouts(text: str, root: Path) -> dict[str, Path]:
    """Folders by repository from ``NAME=DIR,NAME=DIR``; what is in them is checked with the catalogue."""
    found: dict[str, Path] = {}
    for part in names_of(text):
        name, sign, given = part.partition("=")
        if not (name and sign and given):
            raise UsageError(f"--energy-checkout {part!r}: write REPOSITORY=DIR")
        if name in found:
            raise UsageError(f"--energy-checkout {part!r}: {name} is given twice")
        path = (root / Path(given).expanduser()).resolve()
        if not path.is_dir():
            raise UsageError(f"--energy-checkout {part}: no such folder: {path}")
        found[name] = path
    return found


def read_tdp(text: str) -> dict[str, float]:
    """Watts by device from ``cpu=65,gpu=320``."""
    watts: dict[str, float] = {}
    for part in names_of(text):
        device, _, number = part.partition("=")
        if device not in ("cpu", "gpu"):
            raise UnknownNameError("--energy-tdp device", device, ("cpu", "gpu"))
        try:
            watts[device] = float(number)
        except ValueError:
            raise UsageError(f"--energy-tdp {part!r}: write {device}=WATTS, such as {device}=65") from None
        if not 0 < watts[device] < float("inf"):
            raise UsageError(f"--energy-tdp {part!r}: watts must be a number above 0")
    return watts


def earlier(text: str, root: Path) -> tuple[Path, ...]:
    """Sessions, results folders or tables, one a line."""
    found = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        path = (root / Path(line).expanduser()).resolve()
        if not path.exists():
            raise UsageError(f"--energy-earlier {line}: no such file or folder")
        found.append(path)
    return tuple(dict.fromkeys(found))


def limits_w(text: str) -> tuple[float, ...]:
    """GPU power limits in watts from ``200,250``, each once."""
    found = []
    for part in names_of(text):
        try:
            watts = float(part)
        except ValueError:
            watts = 0.0
        if not 0 < watts < float("inf"):
            raise UsageError(f"--energy-power-limit {part!r}: write watts above 0, such as 200,250")
        found.append(watts)
    return tuple(dict.fromkeys(found))


def resume(text: str, root: Path) -> str:
    """A session to go on in; whether there is one of that name is seen when the cases are known."""
    path = path_of(text, root)
    if path is not None and path.exists() and not (path / "journal.jsonl").is_file():
        # Bare, the flag has taken what was meant to be collected, and pytest would run something else.
        raise UsageError(
            f"--energy-resume {text}: no session, but something to collect: write --energy-resume=latest "
            f"{text}, since a bare --energy-resume takes the next word for its value"
        )
    return text
