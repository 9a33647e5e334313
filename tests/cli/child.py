"""A small component: says that it is ready, then lives until SIGTERM. Arguments choose its manners.

child.py JOURNAL NAME [stubborn] [unready] [crash-once FILE] [family] [late]
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

journal, name, *manners = sys.argv[1:]


def note(word: str) -> None:
    with Path(journal).open("a") as file:
        file.write(f"{word} {name} {os.getpid()}\n")


def end(*_: object) -> None:
    note("end")
    sys.exit(0)


signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in manners else end)
note("start")
if "unready" in manners:
    print("no component is here", file=sys.stderr, flush=True)
    sys.exit(3)
if "silent" not in manners:
    print("some chatter before the ready line", flush=True)
    print(json.dumps({"ready": True, "name": name}), flush=True)
if "family" in manners:  # a grandchild in a session of its own that would outlive everybody
    subprocess.Popen(
        [sys.executable, __file__, journal, f"{name}-grandchild", "stubborn"], start_new_session=True
    )
while True:
    time.sleep(60)
