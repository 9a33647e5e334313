"""The emulator: emulate's GitHub as a child process, and calls to it.

The child reads its seed on standard input and ends when that input ends, hence also when this process is
killed. Clients' tokens never reach it: the gateway has checked them and calls in the name of a login.
"""

from __future__ import annotations

import http.client
import itertools
import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from queue import Empty, Queue
from typing import cast

import structlog

from bzzz_github_server.errors import EmulatorError
from bzzz_github_server.wire import Json, Response

FOLDER = Path(__file__).resolve().parent.parent / "emulator"
START_S = 30.0
CALL_S = 30.0
STOP_S = 5.0

TOKENS_A_LOGIN = 64
"""emulate grants each token 5,000 requests an hour and cannot be told otherwise; the gateway counts by
GitHub's rules (`limits`), so it takes turns with many tokens to stay clear of that counter."""

ADMIN = "admin"
"""An account that emulate makes itself, with the right to everything; the gateway's own."""

_log = structlog.get_logger(__name__)


class Emulator:
    """A running emulator."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, authority: str, tokens: Tokens) -> None:
        self._process = process
        self._port = port
        self._authority = authority
        self._tokens = tokens

    def call(
        self, method: str, path: str, *, login: str = ADMIN, token: str | None = None, body: object = None
    ) -> Response:
        """Send one request in the name of `login`, or with `token` as it is.

        Raises:
            EmulatorError: no answer within 30 s.
        """
        content = b"" if body is None else json.dumps(body).encode()
        return self.forward(method, path, content, login=login, token=token)

    def forward(
        self, method: str, target: str, content: bytes, *, login: str = ADMIN, token: str | None = None
    ) -> Response:
        """Send one request with a body as it is; answer with the emulator's status, body and `Link`."""
        headers = {
            "Authorization": f"Bearer {token or self._tokens.of(login)}",
            "Content-Type": "application/json",
            # Page links are made from this header; they must lead to the gateway.
            "Host": self._authority,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=CALL_S)
        try:
            connection.request(method, target, content or None, headers)
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            raise EmulatorError(
                f"expected an answer of the emulator to {method}, got {problem!r}"
            ) from problem
        finally:
            connection.close()
        kept = {name: value for name in ("Content-Type", "Link") if (value := answer.getheader(name))}
        return Response(answer.status, data, kept)

    @property
    def died(self) -> bool:
        """Whether the process is gone although nobody closed it."""
        return self._process.poll() is not None

    def wait(self) -> int:
        """Block until the process is gone; return its exit code."""
        return self._process.wait()

    def close(self) -> None:
        """End the process: by its input, and by force if it does not listen."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Tokens:
    """The emulator's own tokens, many a login, taken in turns."""

    def __init__(self, logins: Iterable[str]) -> None:
        salt = secrets.token_hex(16)
        self._names = {
            login: [f"{salt}-{login}-{number}" for number in range(TOKENS_A_LOGIN)]
            for login in {*logins, ADMIN}
        }
        self._turns = {login: itertools.cycle(names) for login, names in self._names.items()}
        self._lock = threading.Lock()

    def seed(self) -> Json:
        """The tokens in the form that emulate is seeded with."""
        scopes = ["repo", "user", "admin:org", "admin:repo_hook"]
        return {
            name: {"login": login, "scopes": scopes} for login, names in self._names.items() for name in names
        }

    def of(self, login: str) -> str:
        """The next token of a login."""
        with self._lock:
            return next(self._turns[login])


def start(seed: Json, *, logins: Iterable[str], authority: str) -> Emulator:
    """Start the emulator with `seed` (emulate's `github` seed) for a gateway at `authority` (host:port).

    Raises:
        EmulatorError: Node or its packages are missing, or it was not ready within 30 s.
    """
    if not (FOLDER / "node_modules" / "emulate").is_dir():
        raise EmulatorError(f"expected emulate installed in {FOLDER}; run `npm ci` there")
    tokens = Tokens(logins)
    order = {"baseUrl": f"http://{authority}", "seed": {"tokens": tokens.seed(), "github": seed}}
    try:
        process = subprocess.Popen(
            [_node(), str(FOLDER / "emulator.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=FOLDER,
        )
    except OSError as problem:
        raise EmulatorError(f"expected Node 20 or newer as `node`, got {problem}; install it") from problem
    try:
        port = _ready_port(process, json.dumps(order).encode() + b"\n")
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Emulator(process, port, authority, tokens)


def _node() -> str:
    """Node's program: the one beside our Python if the installation put one there, else the system's."""
    bundled = Path(sys.executable).parent / "node"
    return str(bundled) if bundled.exists() else "node"


def _ready_port(process: subprocess.Popen[bytes], order: bytes) -> int:
    """Hand over the order and wait for the ready line, not for ever."""
    lines: Queue[bytes] = Queue()
    if process.stdin is None or process.stdout is None:  # pragma: no cover - both were asked for
        raise EmulatorError("expected pipes to the emulator")
    output = process.stdout
    threading.Thread(target=lambda: lines.put(output.readline()), daemon=True, name="emulator-ready").start()
    try:
        process.stdin.write(order)
        process.stdin.flush()
        line = lines.get(timeout=START_S)
        port = cast("Json", json.loads(line))["port"]
    except (OSError, Empty, ValueError, KeyError) as problem:
        raise EmulatorError(
            f"expected the emulator ready within {START_S:.0f} s, got {problem!r}"
        ) from problem
    _log.info("emulator_started", pid=process.pid, port=port)
    return int(port)
