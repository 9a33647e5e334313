"""Nothing outlives `bzzz local`, however it ends.

`bzzz local` is two processes. The one that the user started is the keeper: it does nothing but wait, and the kernel
hands it every descendant whose parent ended. The other runs the hive. If the hive's process ends, cleanly or by
SIGKILL, the keeper ends what is left below it. If the keeper is killed, the kernel tells the hive's process, which
stops the hive as on Ctrl-C. If both are killed at once, each component is told by the kernel (`processes`) or finds
its standard input closed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Final

import psutil

from bzzz_cli.local import linux

PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SWEEP_S: Final = 10.0
"""Longest time to end what is left; a process that SIGKILL does not end in this time hangs in the kernel."""


def run_kept(work: Callable[[], int]) -> int:
    """Run `work` in a process of its own and return its exit code once nothing of it is left.

    A process that was ended by a signal counts as exit code 128 + signal, as in a shell.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    linux.adopt_orphans()
    keeper = os.getpid()
    child = os.fork()
    if child == 0:
        linux.die_with_parent(signal.SIGTERM)
        if os.getppid() != keeper:  # it was killed before the line above
            os._exit(1)
        code = 1
        try:
            code = work()
        except KeyboardInterrupt:
            code = 128 + signal.SIGINT
        except BaseException:
            traceback.print_exc()
        finally:
            for number in PASSED_ON:
                signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C has nothing left to stop
            # Straight out: what follows in this call stack belongs to the keeper.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _pass_signals_to(child)
    code = _wait_for(child)
    sweep()
    return code


def _pass_signals_to(child: int) -> None:
    def pass_on(number: int, _frame: FrameType | None) -> None:
        try:
            os.kill(child, number)
        except ProcessLookupError:
            return

    for number in PASSED_ON:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, pass_on)


def _wait_for(child: int) -> int:
    """Wait for the child, taking in the orphans that end meanwhile."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def sweep() -> int:
    """End every descendant of this process by SIGKILL; return how many there were."""
    ended: set[int] = set()
    deadline = time.monotonic() + SWEEP_S
    while time.monotonic() < deadline:
        _reap()
        left = psutil.Process().children(recursive=True)
        if not left:
            break
        for process in left:
            ended.add(process.pid)
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=0.2)
    return len(ended)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
