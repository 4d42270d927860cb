"""CodeCarbon as an estimator to be judged, in one warmed helper process."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from energy_plugin.clock import Clock, SystemClock
from energy_plugin.record.trace import Channel, Fault, Sample, Trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.meters.protocols import Edge

HELPER = Path(__file__).with_name("codecarbon_helper.py")
READY_TIMEOUT_S = 60.0  # hardware detection: 2 to 5 s, longer on a busy machine
EDGE_TIMEOUT_S = 5.0
PARTS = ("cpu", "ram", "gpu")


class CodeCarbonMeter:
    """What CodeCarbon says the whole machine used between two edges, by channel.

    Its channels name their true source: where CodeCarbon itself reads RAPL or the NVML counter it is
    no independent estimate. A helper that dies is a fault (``helper-died``), never an exception.

    Args:
        country: ISO code; CodeCarbon wants one for its grams of CO2, which are not used.
        log: file for what the helper writes to stderr; None drops it.
        helper: the program the child runs; changed by tests only.
    """

    name = "codecarbon"
    lead_s = 0.0
    tail_s = 0.0

    def __init__(
        self,
        *,
        country: str = "USA",
        log: Path | None = None,
        clock: Clock | None = None,
        helper: Path = HELPER,
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> None:
        self._country = country
        self._log = log
        self._clock = clock or SystemClock()
        self._helper = helper
        self._ready_timeout_s = ready_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._channels: list[Channel] | None = None
        self._task = 0
        self._opened_ns: int | None = None
        self._result: tuple[int, dict[str, float]] | None = None
        self._faults: list[Fault] = []

    # --- the helper ---

    def warm(self) -> None:
        """Start the helper and return at once; it detects hardware while others work."""
        if self._process is not None:
            return
        target: int | BinaryIO = subprocess.DEVNULL
        with contextlib.ExitStack() as stack:
            if self._log is not None:
                target = stack.enter_context(self._log.open("ab"))
            self._process = subprocess.Popen(
                # -P: the helper's folder must not be searched, its codecarbon.py is this file.
                [sys.executable, "-P", str(self._helper), self._country],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=target,
                bufsize=0,
                start_new_session=True,  # Ctrl-C must not end it before its answer
            )

    def _ask(self, request: dict[str, object]) -> dict[str, Any] | None:
        """One question, one answer; None when the helper is dead or silent."""
        if self._process is None or self._process.stdin is None:
            return None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except OSError:
            return None
        while (answer := self._answer(EDGE_TIMEOUT_S)) is not None:
            if answer.get("id") == request["id"]:
                return answer
        return None

    def _answer(self, timeout_s: float) -> dict[str, Any] | None:
        if self._process is None or self._process.stdout is None:
            return None
        end = time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                return None
            piece = os.read(self._process.stdout.fileno(), 65536)
            if not piece:
                return None
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\n")
        with contextlib.suppress(ValueError):
            answer = json.loads(line)
            return answer if isinstance(answer, dict) else None
        return None

    # --- the protocol ---

    def probe(self) -> Sequence[Channel]:
        """``cpu``, ``ram`` and ``gpu`` with their true sources; waits until the helper is ready."""
        if self._channels is None:
            self._channels = self._examine()
        return self._channels

    def _examine(self) -> list[Channel]:
        try:
            self.warm()
        except OSError as error:
            return [self._dead(part, "helper-died", str(error)) for part in PARTS]
        hello = self._answer(self._ready_timeout_s)
        if hello is None or not hello.get("ready"):
            self.close()
            detail = hello["detail"] if hello else f"no answer within {self._ready_timeout_s:g} s"
            return [self._dead(part, "helper-died", detail) for part in PARTS]
        return [self._channel(part, hello) for part in PARTS]

    def _channel(self, part: str, hello: dict[str, Any]) -> Channel:
        found = hello["channels"].get(part)
        if found is None:
            return self._dead(part, f"no-{part}", f"CodeCarbon {hello['version']} finds no {part} here")
        detail = f"CodeCarbon {hello['version']}: {found['detail']}"
        return Channel(id=part, meter=self.name, source=found["source"], kind="model", detail=detail)

    def _dead(self, part: str, reason: str, detail: str) -> Channel:
        fix = "pip install codecarbon" if "ModuleNotFoundError" in detail else ""
        return Channel(
            id=part,
            meter=self.name,
            source="codecarbon",
            kind="model",
            alive=False,
            reason=reason,
            detail=detail,
            fix=fix,
        )

    def start(self) -> None:
        """Forget the last attempt; a helper that has died since is started again."""
        self._faults, self._opened_ns, self._result = [], None, None
        if self._process is not None and self._process.poll() is not None:
            self.close()
            self._channels = None
        self.probe()

    def edge(self, kind: Edge) -> None:
        """Begin or end CodeCarbon's task (about 1 ms each); it cannot split one."""
        if kind == "split" or not self._alive():
            return
        if kind == "open":
            self._task += 1
            answer = self._ask({"op": "begin", "id": self._task})
            self._opened_ns = answer["t_ns"] if answer and "t_ns" in answer else None
        else:
            answer = self._ask({"op": "end", "id": self._task})
            if answer and "joules" in answer and self._opened_ns is not None:
                self._result = (answer["t_ns"], answer["joules"])
        if answer is None or "error" in answer:
            code = "helper-failed" if answer else "helper-died"
            detail = answer["error"] if answer else f"no answer at the {kind} edge"
            self._faults.append(Fault(self._clock.now_ns(), code, detail))

    def stop(self) -> Sequence[Trace]:
        """One two-point trace for each living channel."""
        if self._opened_ns is not None and self._result is None and not self._faults:
            self.edge("close")
        return [self._trace(channel) for channel in self._alive()]

    def _alive(self) -> list[Channel]:
        return [channel for channel in self.probe() if channel.alive]

    def _trace(self, channel: Channel) -> Trace:
        samples: tuple[Sample, ...] = ()
        if self._result is not None and self._opened_ns is not None:
            closed_ns, joules = self._result
            samples = (Sample(self._opened_ns, 0.0), Sample(closed_ns, joules[channel.id]))
        return Trace(
            meter=self.name, channel=channel, form="window", samples=samples, faults=tuple(self._faults)
        )

    def close(self) -> None:
        """End the helper: end of file first, then by force."""
        process, self._process, self._pending = self._process, None, b""
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
