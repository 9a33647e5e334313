"""Port-forwards that come back: kubectl's end with the pod that they lead to."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from tools.up.kube import Kube, KubeError

READY_S: Final = 60.0
AGAIN_S: Final = 0.3


class Forward:
    """One port of 127.0.0.1 that leads to a Service, for as long as it is open."""

    def __init__(self, kube: Kube, service: str, port: int, local: int) -> None:
        self._argv = kube.argv(
            "kubectl", "port-forward", "--address", "127.0.0.1", f"service/{service}", f"{local}:{port}"
        )
        self._over = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name=f"forward-{service}", daemon=True)
        self.service, self.local = service, local
        self.url = f"http://127.0.0.1:{local}"

    def open(self) -> None:
        """Start it and wait until it takes connections. Raises KubeError."""
        self._thread.start()
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if _answers(self.local):
                return
            self._over.wait(0.1)
        self.close()
        raise KubeError(f"port-forward to {self.service}: no connection within {READY_S:.0f} s")

    def close(self) -> None:
        """End it."""
        self._over.set()
        with self._lock:
            if self._process is not None:
                self._process.kill()
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self) -> None:
        while not self._over.is_set():
            with self._lock:
                if self._over.is_set():
                    return
                self._process = subprocess.Popen(
                    self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            self._process.wait()
            self._over.wait(AGAIN_S)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@contextmanager
def forwarded(kube: Kube, service: str, port: int, local: int) -> Generator[Forward]:
    """Keep a port-forward open for the length of a block. Raises KubeError."""
    forward = Forward(kube, service, port, local)
    forward.open()
    try:
        yield forward
    finally:
        forward.close()
