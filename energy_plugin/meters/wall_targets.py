"""Which wall meters: ``NAME=URL`` as given by the user, checked before anything is asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from energy_plugin.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = ("shelly1", "shelly2", "tasmota", "command")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
FORM = "write NAME=http://HOST, NAME=tasmota:http://HOST or NAME=command:CMD"


class Target(NamedTuple):
    """One wall meter: ``kind`` is empty where the device is to be asked; ``where`` a URL or a command."""

    name: str
    kind: str
    where: str


def read_walls(given: Iterable[str]) -> tuple[Target, ...]:
    """Targets from ``NAME=[KIND:]URL`` and ``NAME=command:CMD``.

    Raises:
        UsageError: a form that cannot be asked, a name given twice, or a password in a URL.
    """
    found: dict[str, Target] = {}
    for line in filter(None, (part.strip() for part in given)):
        name, sign, rest = line.partition("=")
        if not sign or not NAME.fullmatch(name.strip()) or not rest.strip():
            raise UsageError(f"--energy-wall {line!r}: {FORM}")
        if name.strip() in found:
            raise UsageError(f"--energy-wall {name.strip()}: the name is given twice")
        found[name.strip()] = _target(name.strip(), rest.strip())
    return tuple(found.values())


def _target(name: str, rest: str) -> Target:
    kind, _, where = rest.partition(":")
    if kind in ("http", "https"):
        return Target(name, "", _url(name, rest))
    if kind not in KINDS:
        if "//" in where:
            raise UnknownNameError("--energy-wall device", kind, KINDS)
        raise UsageError(f"--energy-wall {name}={rest}: {FORM}")
    if not where.strip():
        raise UsageError(f"--energy-wall {name}={rest}: nothing after {kind}:")
    if kind == "command":
        return Target(name, kind, where.strip())
    return Target(name, kind, _url(name, where if "//" in where else f"http://{where}"))


def _url(name: str, text: str) -> str:
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:  # a port that is no number
        known = False
    if not known:
        raise UsageError(f"--energy-wall {name}={text}: no URL such as http://192.168.1.20")
    if parts.password or parts.username or "password=" in parts.query:
        # The command line is kept in every record.
        raise UsageError(
            f"--energy-wall {name}: a password does not belong on a command line that is recorded; "
            f"write 'machine {parts.hostname} login USER password WORD' into ~/.netrc"
        )
    return text
