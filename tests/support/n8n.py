"""A real n8n for tests: installed once into the cache, one process a run, prepared by the documented commands."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.kube_programs import die_with_the_test, free_ports
from tests.support.processes import eventually

ROOT = Path(__file__).resolve().parents[2]
START_S = 180.0
"""Ten seconds are usual; a busy machine with a cold disk takes minutes."""
OWNER_HASH = "$2a$10$M07fEovACU30.ayt4SprJOTyOTix6nNghvO26HVG6SatP/P5QPeFa"  # of a password that nobody needs


def install() -> Path:
    """Return the folder with n8n, installed if the cache lacks it: minutes, with progress on stderr."""
    done = subprocess.run(
        [ROOT / "tools" / "n8n" / "install.sh"], stdout=subprocess.PIPE, text=True, check=False, timeout=3600
    )
    assert done.returncode == 0, "n8n cannot be installed; see above"
    return Path(done.stdout.strip())


@dataclass
class N8n:
    """An n8n and its data. `prepare` first, then `start`; `kill` and `start` again keep the data."""

    program: Path
    folder: Path
    webhooks: tuple[str, ...] = ()
    """Paths that must be registered before it is ready."""
    port: int = 0
    popen: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.port, self._broker = free_ports(2)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """As docs/escalation.md has it, and nothing that leaves the machine."""
        off = (
            *("N8N_DIAGNOSTICS_ENABLED", "N8N_VERSION_NOTIFICATIONS_ENABLED", "N8N_TEMPLATES_ENABLED"),
            *("N8N_PERSONALIZATION_ENABLED", "N8N_HIRING_BANNER_ENABLED", "N8N_DYNAMIC_BANNERS_ENABLED"),
            *("N8N_COMMUNITY_PACKAGES_ENABLED", "N8N_VERIFIED_PACKAGES_ENABLED", "N8N_AI_ENABLED"),
            *("N8N_VERSION_NOTIFICATIONS_WHATS_NEW_ENABLED", "N8N_MCP_ACCESS_ENABLED", "N8N_SECURE_COOKIE"),
        )
        modules = "mcp-registry,mcp,instance-ai,chat-hub,community-packages,insights,agents"
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("N8N_")},
            **dict.fromkeys(off, "false"),
            "N8N_USER_FOLDER": str(self.folder),
            "N8N_ENCRYPTION_KEY": "0123456789abcdef0123456789abcdef",
            "DB_TYPE": "sqlite",
            "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_HOST": "127.0.0.1",
            "N8N_PORT": str(self.port),
            "N8N_RUNNERS_BROKER_PORT": str(self._broker),
            "N8N_WEBHOOK_URL": f"{self.url}/",
            "N8N_DISABLED_MODULES": modules,
            "N8N_INSTANCE_OWNER_MANAGED_BY_ENV": "true",
            "N8N_INSTANCE_OWNER_EMAIL": "owner@example.com",
            "N8N_INSTANCE_OWNER_FIRST_NAME": "Test",
            "N8N_INSTANCE_OWNER_LAST_NAME": "Owner",
            "N8N_INSTANCE_OWNER_PASSWORD_HASH": OWNER_HASH,
            "NODE_FUNCTION_ALLOW_BUILTIN": "crypto",
            "GENERIC_TIMEZONE": "UTC",
        }

    def command(self, *arguments: str) -> str:
        """Run `n8n …` to its end and return what it printed."""
        done = subprocess.run(
            [self.program / "node", self.program / "node_modules/n8n/bin/n8n", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"n8n {arguments[0]}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def prepare(self, kind: str, environ: dict[str, str], *options: str) -> None:
        """Import a workflow as docs/escalation.md says."""
        done = subprocess.run(
            [sys.executable, ROOT / "n8n" / "prepare.py", kind, "--out", self.folder / "import", *options],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            words = line.split()
            if words[0] == "n8n":
                self.command(*words[1:])

    def start(self) -> None:
        """Start it and wait until it takes webhooks."""
        log = (self.folder / "n8n.log").open("ab")
        with log:
            self.popen = subprocess.Popen(
                [self.program / "node", self.program / "node_modules/n8n/bin/n8n", "start"],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_the_test(),
            )

        def ready() -> bool:
            assert self.popen is not None
            assert self.popen.poll() is None, f"n8n ended: {self.tail()}"
            try:
                # it says ready before it has registered the webhooks; without a token they answer 403
                if httpx.get(f"{self.url}/healthz/readiness", timeout=5).status_code != 200:
                    return False
                hooks = [httpx.post(f"{self.url}/webhook/{path}", timeout=5) for path in self.webhooks]
                return all(answer.status_code != 404 for answer in hooks)
            except httpx.HTTPError:
                return False

        eventually(ready, within=START_S, every=0.2, what="n8n is ready")

    def kill(self) -> None:
        """End it at once, with its task runner."""
        if self.popen is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait(30)
            self.popen = None

    def tail(self) -> str:
        """Return the end of its log."""
        path = self.folder / "n8n.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""
