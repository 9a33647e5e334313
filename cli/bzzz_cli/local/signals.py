"""Ctrl-C and its kin: the first one begins the stop, further ones change nothing.

trio's own receiver delivers signals that nobody took once more when it closes, which would end us in the middle of a
clean stop: at a terminal, Ctrl-C comes twice, from the terminal and from the keeper.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Final

import trio

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def cancel_on_signals(scope: trio.CancelScope) -> None:
    """From now on, and for the rest of the process's life, have these signals cancel the scope."""
    token = trio.lowlevel.current_trio_token()

    def cancel(_number: int, _frame: FrameType | None) -> None:
        try:
            token.run_sync_soon(scope.cancel, idempotent=True)
        except trio.RunFinishedError:
            return  # stopped already

    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, cancel)
