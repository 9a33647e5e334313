"""A local hive on one of examples/scenarios, and what a person does on its GitHub server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import httpx
import yaml
from rich.console import Console
from rich.text import Text

from bzzz_cli.console import printable
from bzzz_cli.errors import CommandError
from tests.e2e.hive import BZZZ, Hive
from tools.scenarios.transcript import lines_of

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples" / "scenarios"
FIRST_S: Final = 180.0
"""Until a plan is discussed; seconds where nothing else runs."""
Json = dict[str, Any]


@dataclass
class Stage:
    """The hive, and where the story is told."""

    hive: Hive
    repository: str
    console: Console

    def tell(self, text: str) -> None:
        """Say what happens now."""
        self.console.print(Text(f"\n» {printable(text)}", style="bold"))

    def quote(self, text: str) -> None:
        """Show what somebody wrote, as text."""
        for line in text.splitlines():
            self.console.print(Text(f"  │ {printable(line)}"))

    def comments(self) -> list[str]:
        """Return what stands below the issue."""
        answer = httpx.get(self._issue("/comments"), headers=self._headers())
        return [cast("str", comment["body"]) for comment in answer.json()]

    def comment(self, text: str) -> None:
        """Write below the issue, as somebody who may write to the repository."""
        httpx.post(self._issue("/comments"), headers=self._headers(), json={"body": text}).raise_for_status()

    def show_transcript(self, discussion: Json) -> None:
        """Print what was said and done: the sealed transcript, or where there is none the scribe's last messages."""
        self.tell("The transcript")
        for line in lines_of(self._transcript(discussion)):
            self.console.print(Text(printable(line)))

    def show_pull_request(self, discussion: Json) -> str:
        """Print the pull request, check its evidence and return its text. Raises CommandError if it does not hold."""
        url = str(discussion["pullRequest"])
        self.tell(f"The pull request {url}")
        body = str(self._pull(url)["body"]).split("<details>")[0].strip()
        self.quote(body)
        self.tell("bzzz verify")
        config = self.hive.config("github")
        key = self.hive.config("scribe")["hiveKey"]
        argv = [*BZZZ, "verify", url, "--hive-key", key, "--api-url", f"http://127.0.0.1:{config['port']}"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        self.quote(done.stdout + done.stderr)
        if done.returncode != 0:
            raise CommandError(f"{url}: its evidence does not hold")
        return body

    def give_model(self, index: int, name: str | None, url: str) -> None:
        """Have a HiveAgent think by a model: a real one by its name, else the scripted one at this address."""
        spec = self.hive.manifests[index]["spec"]
        spec["model"] = {"name": name} if name else {"name": "openai:scripted", "baseUrl": url}

    def _transcript(self, discussion: Json) -> list[Json]:
        url = discussion["pullRequest"]
        if url is None:
            return cast("list[Json]", discussion["lastMessages"])
        body = str(self._pull(str(url))["body"])
        found = re.search(re.escape(self.hive.scribe_url()) + r"/logs/[0-9a-f]+/[0-9a-f]+", body)
        if found is None:
            raise CommandError(f"{url}: expected a link to its transcript")
        document = httpx.get(f"{found[0]}/transcript.json", timeout=30).raise_for_status().json()
        return cast("list[Json]", document["entries"])

    def _pull(self, url: str) -> Json:
        number = url.rsplit("/", 1)[1]
        return httpx.get(f"{self._api()}/pulls/{number}", headers=self._headers()).raise_for_status().json()

    def _issue(self, rest: str) -> str:
        return f"{self._api()}/issues/1{rest}"

    def _api(self) -> str:
        return f"http://127.0.0.1:{self.hive.config('github')['port']}/repos/{self.repository}"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.hive.config('github')['users'][0]['token']}"}


@contextmanager
def staged(name: str, folder: Path, console: Console) -> Generator[Stage]:
    """Set a scenario up; the story starts the hive. Nothing of it is left afterwards."""
    example = EXAMPLES / name
    manifests = cast("list[Json]", list(yaml.safe_load_all((example / "hiveagent.yaml").read_text())))
    issues = cast("list[Json]", yaml.safe_load((example / "issues.yaml").read_text()))
    project = example / "project"
    files = {str(f.relative_to(project)): f.read_text() for f in project.rglob("*") if f.is_file()}
    hive = Hive(folder, manifests, issues, files=files)
    repository = str(manifests[0]["spec"]["github"]["repositories"][0])
    try:
        yield Stage(hive, repository, console)
        if hive.running().poll() is None:
            hive.interrupt()
    finally:
        hive.end()
