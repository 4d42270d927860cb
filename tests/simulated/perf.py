#!/usr/bin/env python3
r"""A `perf stat` whose every counter runs at a known power while it is enabled.

It obeys what the meter uses: `-a -j --per-socket --control fd:R,W -D -1 -e power/NAME/,...`, acks
`ack\n\0`, prints its counts at SIGINT and dies of it. The folder of this file holds a file `perf.json`:
    {"power_w": {"energy-pkg": 50}, "sockets": 1, "mode": "", "dies_after": 0}
Modes: "not-supported", "not-counted", "zero", "no-permission" (exit 255 at once), "silent" (no ack).
An event without a power is unknown: exit 129 before anything runs.
"""

import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any


def main() -> int:
    world = json.loads((Path(__file__).parent / "perf.json").read_text())
    arguments = sys.argv[1:]
    events = [e.split("/")[1] for e in arguments[arguments.index("-e") + 1].split(",")]
    unknown = [event for event in events if event not in world["power_w"]]
    if unknown:
        print(
            f"event syntax error: 'power/{unknown[0]}/'\n                     \\___ unknown term",
            file=sys.stderr,
        )
        return 129
    if world["mode"] == "no-permission":
        print(
            "Error:\nAccess to performance monitoring is limited.\nperf_event_paranoid setting is 2",
            file=sys.stderr,
        )
        return 255
    theirs, mine = arguments[arguments.index("--control") + 1].removeprefix("fd:").split(",")
    enabled_s = serve(int(theirs), int(mine), world)
    report(events, world, enabled_s)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    return 0


def serve(commands: int, acks: int, world: dict[str, Any]) -> float:
    """Seconds enabled, until SIGINT."""
    stopped: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: stopped.append(number))
    total, since, seen = 0.0, None, 0
    while not stopped:
        if not select.select([commands], [], [], 0.005)[0]:
            continue
        for word in os.read(commands, 4096).decode().split():
            seen += 1
            if world["dies_after"] and seen > world["dies_after"]:
                os._exit(1)
            now = time.monotonic()
            if word == "enable" and since is None:
                since = now
            elif word == "disable" and since is not None:
                total, since = total + now - since, None
            if world["mode"] != "silent":
                os.write(acks, b"ack\n\0")
    return total if since is None else total + time.monotonic() - since


def report(events: list[str], world: dict[str, Any], enabled_s: float) -> None:
    print("Events disabled\nEvents enabled", file=sys.stderr)
    words = {"not-supported": "<not supported>", "not-counted": "<not counted>", "zero": "0.000000"}
    for event in events:
        for socket in range(world["sockets"]):
            joules = world["power_w"][event] * (1 + socket * world.get("skew", 0)) * enabled_s
            value = words.get(world["mode"], f"{joules:.6f}")
            row = {"socket": f"S{socket}", "aggregate-number": 1, "counter-value": value, "unit": "Joules"}
            print(json.dumps({**row, "event": f"power/{event}/", "pcnt-running": 100.0}), file=sys.stderr)


sys.exit(main())
