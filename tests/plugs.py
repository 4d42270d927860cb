"""Plugs on loopback: HTTP servers that answer as Shelly and Tasmota do, their energy known in closed form."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

UNIT_J = {"shelly1": 60, "shelly2": 3600, "tasmota": 3_600_000}
DIGITS = {"shelly1": 0, "shelly2": 3, "tasmota": 5}
PATHS = {"shelly1": "/meter/0", "shelly2": "/rpc/Switch.GetStatus?id=0", "tasmota": "/cm?cmnd=Status%208"}


class Plug:
    """One device of *kind*; a context manager that serves on a free port.

    Attributes:
        load_w: watts while :attr:`loaded` seconds of CLOCK_MONOTONIC (from, to) last; else idle watts.
        fault: what it does instead of answering: a status code, ``garbage``, ``drip``, ``unmetered``...
        password: asked for in the device's own way where it is set.
        refresh_s: how often its numbers change.
    """

    def __init__(self, kind: str, *, digits: int | None = None, start_j: float = 36_000_000.0) -> None:
        self.kind = kind
        self.digits = DIGITS[kind] if digits is None else digits
        self.idle_w, self.load_w = 60.0, 240.0
        self.loaded = (math.inf, math.inf)
        self.fault: int | str = ""
        self.password = ""
        self.refresh_s = 0.0
        self.start_j = start_j
        self.asked: list[str] = []
        self._born_s = time.monotonic()
        plug = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                plug._answer(self)

            def log_message(self, *arguments: object) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *arguments: object) -> None: ...

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Plug:
        self._thread.start()
        return self

    def __exit__(self, *arguments: object) -> None:
        self.vanish()

    def vanish(self) -> None:
        """No longer on the network: connections are refused."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return self.host + PATHS[self.kind]

    # --- what it measures ---

    def energy_j(self, t_s: float) -> float:
        """Joules counted at *t_s* of CLOCK_MONOTONIC: the truth."""
        on_s, off_s = self.loaded
        loaded_s = max(0.0, min(t_s, off_s) - on_s) if t_s > on_s else 0.0
        return self.start_j + self.idle_w * (t_s - self._born_s) + (self.load_w - self.idle_w) * loaded_s

    def power_w(self, t_s: float) -> float:
        return self.load_w if self.loaded[0] <= t_s < self.loaded[1] else self.idle_w

    # --- what it says ---

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        if isinstance(self.fault, int):
            return self._send(request, self.fault, "no")
        if self.fault == "hang":
            time.sleep(10)
            return None
        if self.fault == "drip":
            return self._drip(request)
        if self.password and not self._knows(request):
            return None
        if not self._mine(request.path):
            return self._send(request, 404, "Not Found")
        if self.fault == "garbage":
            return self._send(request, 200, "<html>firmware update in progress</html>")
        return self._send(request, 200, self._json())

    def _mine(self, path: str) -> bool:
        if self.kind == "shelly1":
            return path in ("/meter/0", "/status")
        ours, asked = urlsplit(PATHS[self.kind]), urlsplit(path)
        return ours.path == asked.path and parse_qs(ours.query).items() <= parse_qs(asked.query).items()

    def _send(
        self, request: BaseHTTPRequestHandler, code: int, body: str, headers: dict[str, str] | None = None
    ) -> None:
        request.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body.encode())

    def _drip(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        for _ in range(40):
            request.wfile.write(b" ")
            time.sleep(0.25)

    def _json(self) -> str:
        now_s = time.monotonic()
        if self.refresh_s:
            now_s = now_s // self.refresh_s * self.refresh_s
        scale = 10**self.digits
        counted = math.floor(self.energy_j(now_s) / UNIT_J[self.kind] * scale) / scale
        total, power = f"{counted:.{self.digits}f}", f"{self.power_w(now_s):.1f}"
        if self.fault == "unmetered":
            return '{"id":0,"source":"init","output":true,"temperature":{"tC":41.2}}'
        if self.fault == "nan":
            power = "NaN"
        if self.fault == "dark":
            power = "0.0"
        if self.fault == "broken" and self.kind == "shelly1":
            return f'{{"power":{power},"is_valid":false,"total":{total}}}'
        if self.kind == "shelly1":
            return (
                f'{{"power":{power},"overpower":0.00,"is_valid":true,"timestamp":1700000000,'
                f'"counters":[60.000,60.000,60.000],"total":{total}}}'
            )
        if self.kind == "shelly2":
            return (
                f'{{"id":0,"source":"init","output":true,"apower":{power},"voltage":230.1,"current":0.261,'
                f'"aenergy":{{"total":{total},"by_minute":[1000.000,1000.000,1000.000],'
                '"minute_ts":1700000000},"temperature":{"tC":41.2,"tF":106.2}}'
            )
        return (
            '{"StatusSNS":{"Time":"2026-11-21T19:00:00","ENERGY":{"TotalStartTime":"2026-01-01T00:00:00",'
            f'"Total":{total},"Yesterday":1.000,"Today":0.500,"Period":0,"Power":{power},'
            '"ApparentPower":66,"ReactivePower":20,"Factor":0.95,"Voltage":230,"Current":0.275}}}'
        )

    # --- who may ask ---

    def _knows(self, request: BaseHTTPRequestHandler) -> bool:
        given = request.headers.get("Authorization", "")
        if self.kind == "tasmota":  # answers 200 and says it in words
            query = parse_qs(urlsplit(request.path).query)
            if query.get("user") == ["admin"] and query.get("password") == [self.password]:
                return True
            self._send(request, 200, json.dumps({"WARNING": "Need user=<username>&password=<password>"}))
        elif self.kind == "shelly1":
            if given == "Basic " + base64.b64encode(f"admin:{self.password}".encode()).decode():
                return True
            self._send(request, 401, "401 Unauthorized", {"WWW-Authenticate": 'Basic realm="shelly"'})
        else:
            if self._digest_fits(given):
                return True
            asks = 'Digest qop="auth", realm="shellyplug", nonce="6563", algorithm=SHA-256'
            self._send(request, 401, "", {"WWW-Authenticate": asks})
        return False

    def _digest_fits(self, given: str) -> bool:
        said: dict[str, Any] = dict(re.findall(r'(\w+)="?([^",]+)"?', given))
        if not given.startswith("Digest") or said.get("algorithm") != "SHA-256":
            return False

        def hashed(text: str) -> str:
            return hashlib.sha256(text.encode()).hexdigest()

        first, second = hashed(f"admin:shellyplug:{self.password}"), hashed(f"GET:{said['uri']}")
        middle = f"{said['nonce']}:{said['nc']}:{said['cnonce']}:auth"
        return bool(said["response"] == hashed(f"{first}:{middle}:{second}"))
