"""The product's agent on a mesh that loses one message in ten at delivery: a launcher of the loss bench.

    python -m tools.bench.lossy_agent --config FILE

It says at its end, as one JSON line on stderr, how many messages it threw away.
"""

from __future__ import annotations

import json
import random
import sys

from bzzz_agent.__main__ import main
from bzzz_mesh.subscriptions import Subscriptions

LOSS = 0.1
EVENT = "bench_loss"

delivered = {"lost": 0, "heard": 0}
_deliver = Subscriptions.deliver


def lossy(self: Subscriptions, topic: str, data: bytes, author: str) -> None:
    """Deliver a message, or lose it for this process for good."""
    if random.random() < LOSS:
        delivered["lost"] += 1
        return
    delivered["heard"] += 1
    _deliver(self, topic, data, author)


if __name__ == "__main__":
    Subscriptions.deliver = lossy
    code = main()
    print(json.dumps({"event": EVENT} | delivered), file=sys.stderr)
    sys.exit(code)
