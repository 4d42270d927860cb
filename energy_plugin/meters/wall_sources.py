"""How a wall meter is asked: over HTTP, or by running a command. Both give text or a SensorError."""

from __future__ import annotations

import contextlib
import hashlib
import netrc
import os
import shlex
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

from energy_plugin.meters.polling import SensorError

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S = 1.5
"""A plug in the house answers in tens of milliseconds; a poll must not wait long for a lost one."""
MOST_BYTES = 65536
USER_AGENT = "wattwhy"


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Digest authentication with SHA-256 (RFC 7616), as Shelly's second generation asks for it."""

    def get_algorithm_impls(self, algorithm: str) -> tuple[Callable[..., str], Callable[..., str]]:
        """Hash function and keyed digest; the standard library of Python 3.11 stops at SHA-1."""
        if algorithm.upper() != "SHA-256":
            return super().get_algorithm_impls(algorithm)

        def hashed(text: str) -> str:
            return hashlib.sha256(text.encode()).hexdigest()

        return hashed, lambda secret, data: hashed(f"{secret}:{data}")


class HttpSource:
    """One URL, asked by GET.

    Never through a proxy: a plug is a neighbour. User name and password come from ``~/.netrc`` (or
    the file in ``NETRC``) and so stay out of command lines and records.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._opener: urllib.request.OpenerDirector | None = None
        self._login: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """What is asked, for people."""
        return self.url

    def ask(self) -> str:
        """The body of the answer.

        Raises:
            SensorError: ``unreachable``, ``timeout``, ``no-permission``, ``http-error`` or ``bad-netrc``.
        """
        opener = self._opener or self._open()
        try:
            request = urllib.request.Request(self._full_url(), headers={"User-Agent": USER_AGENT})
            with opener.open(request, timeout=self._timeout_s) as response:
                return self._body(response)
        except SensorError:
            raise
        except urllib.error.HTTPError as error:
            with error:
                code = "no-permission" if error.code in (401, 403) else "http-error"
                raise SensorError(code, f"{self.url} answers HTTP {error.code} {error.reason}") from None
        except (OSError, urllib.error.URLError, ValueError) as error:
            cause = getattr(error, "reason", error)
            if isinstance(cause, TimeoutError | socket.timeout):
                raise SensorError("timeout", f"{self.url}: no answer in {self._timeout_s:g} s") from None
            raise SensorError("unreachable", f"{self.url}: {cause}") from None
        except Exception as error:  # http.client's own, such as a status line that is none
            raise SensorError("garbage", f"{self.url}: {type(error).__name__}: {error}") from None

    def _open(self) -> urllib.request.OpenerDirector:
        parts = urllib.parse.urlsplit(self.url)
        self._login = login_for(parts.hostname or "")
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self._login:
            known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
            known.add_password(None, f"{parts.scheme}://{parts.netloc}/", *self._login)
            handlers += [_Digest(known), urllib.request.HTTPBasicAuthHandler(known)]
        self._opener = urllib.request.build_opener(*handlers)
        return self._opener

    def _full_url(self) -> str:
        """Tasmota wants its password in the query."""
        if not self._login or urllib.parse.urlsplit(self.url).path != "/cm":
            return self.url
        return f"{self.url}&{urllib.parse.urlencode({'user': self._login[0], 'password': self._login[1]})}"

    def _body(self, response: Any) -> str:
        """All of a small answer, within the time: also from one that drips."""
        until_s, found = time.monotonic() + self._timeout_s, b""
        while piece := response.read1(MOST_BYTES):
            found += piece
            if len(found) > MOST_BYTES:
                raise SensorError("garbage", f"{self.url}: more than {MOST_BYTES} bytes")
            if time.monotonic() > until_s:
                raise SensorError("timeout", f"{self.url}: no whole answer in {self._timeout_s:g} s")
        return found.decode("utf-8", errors="replace")


def login_for(host: str) -> tuple[str, str] | None:
    """User name and password of *host* in the netrc file, None where there are none.

    Raises:
        SensorError: ``bad-netrc``, the file cannot be used.
    """
    file = os.environ.get("NETRC")
    try:
        entry = netrc.netrc(file).authenticators(host)
    except FileNotFoundError:
        return None
    except (netrc.NetrcParseError, OSError) as error:
        raise SensorError("bad-netrc", f"{file or '~/.netrc'}: {error}") from None
    return (entry[0], entry[2] or "") if entry else None


class CommandSource:
    """A command of the user's that prints joules or watts; run without a shell, in a group of its own."""

    def __init__(self, command: str, timeout_s: float = 2.0) -> None:
        self.command = command
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        """What is asked, for people."""
        return f"command {self.command}"

    def ask(self) -> str:
        """What the command prints.

        Raises:
            SensorError: ``no-command``, ``command-failed`` or ``timeout``.
        """
        try:
            child = subprocess.Popen(
                shlex.split(self.command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env={**os.environ, "LC_ALL": "C"},  # a decimal comma is no number
                start_new_session=True,  # Ctrl-C is ours to answer
            )
        except (OSError, ValueError, IndexError) as error:
            raise SensorError("no-command", f"{self.command}: {error}") from None
        with child:
            try:
                out, said = child.communicate(timeout=self._timeout_s)
            except subprocess.TimeoutExpired:
                _kill(child)
                said = f"{self.command}: still runs after {self._timeout_s:g} s"
                raise SensorError("timeout", said) from None
        if child.returncode:
            last = (said.strip().splitlines() or ["no message"])[-1]
            raise SensorError("command-failed", f"{self.command}: exit code {child.returncode}: {last[:200]}")
        return out[:MOST_BYTES]


def _kill(child: subprocess.Popen[str]) -> None:
    """End the command and whatever it started, which may hold its output open."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
