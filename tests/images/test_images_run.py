"""The images are built from this very checkout, and what they are for runs in them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.images.conftest import Run
from tools.images.build import Built, build, project_version
from tools.images.catalogue import IMAGES, ROOT, Image
from tools.images.store import Store, cache_folder

pytestmark = pytest.mark.timeout(1800)  # on a new machine the first test builds everything

NAMES = [image.name for image in IMAGES]
PROGRAMS = {
    "agent": "bzzz-agent",
    "scribe": "bzzz-scribe",
    "operator": "bzzz-operator run",
    "sidecar": "hypercore-sidecar",
    "github": "bzzz-github",
    "model": "bzzz-model",
}
MEGABYTES = {
    "model": 540,
    "agent": 380,
    "scribe": 240,
    "operator": 210,
    "sidecar": 225,
    "workspace": 235,
    "github": 310,
    "demo-workspace": 270,
}
"""Unpacked, a tenth above what was measured; docs/images.md has the table."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_is_on_the_path_and_explains_itself(run: Run, name: str) -> None:
    assert "usage:" in run(name, *PROGRAMS[name].split(), "--help")


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_the_user_is_the_contracts_one(run: Run, image: Image) -> None:
    assert run(image.name, "id", "-u").strip() == str(image.uid)


def test_the_agent_has_what_it_imports_late(run: Run) -> None:
    run(
        "agent",
        "python",
        "-c",
        "import pydantic_ai.models.anthropic, pydantic_ai.models.openai, github, bzzz_agent.process",
    )
    assert run("agent", "git", "--version").startswith("git version")


def test_the_agent_has_nothing_of_the_others(run: Run) -> None:
    look = "import importlib.util as u; print([n for n in {} if u.find_spec(n)])"
    others = ["bzzz_operator", "bzzz_scribe", "bzzz_cli", "kopf", "starlette", "pytest", "pip"]
    assert run("agent", "python", "-c", look.format(others)).strip() == "[]"


def test_programs_know_their_version(run: Run) -> None:
    ask = "from importlib.metadata import version; print(version('bzzz'))"
    for name in ("agent", "scribe", "operator", "github"):
        assert run(name, "python", "-c", ask).strip() == project_version()


def test_the_operator_brings_the_schemas_and_the_runner_of_this_checkout(run: Run) -> None:
    ask = "import json; from bzzz_crds.definitions import definitions; print(json.dumps(definitions()))"
    theirs = json.loads(run("operator", "python", "-c", ask))
    assert theirs == {path.name: yaml.safe_load(path.read_text()) for path in ROOT.glob("crds/*.yaml")}
    ask = "import bzzz_runner, pathlib; print(pathlib.Path(bzzz_runner.__file__).read_text(), end='')"
    assert run("operator", "python", "-c", ask) == (ROOT / "workspace" / "bzzz_runner.py").read_text()


def test_the_archive_starts_as_its_user_and_says_that_it_is_ready(run: Run) -> None:
    folder = "/tmp/archive"
    config = {
        "dir": f"{folder}/data",
        "http": {"host": "127.0.0.1", "port": 0},
        "tokenFile": f"{folder}/token",
        "noiseSeedFile": f"{folder}/seed",
        "logs": [],
        "metrics": {"host": "127.0.0.1", "port": 0},
    }
    script = f"""
        mkdir {folder} && cd {folder} || exit 1
        echo a-token-of-a-test-0123456789 >token; printf %064d 7 >seed; printf %s "$1" >config
        timeout 30 hypercore-sidecar archive --config config >out & child=$!
        while kill -0 $child && ! grep -q ready out; do sleep 0.1; done
        kill $child; wait $child; cat out
    """
    assert json.loads(run("sidecar", "sh", "-c", script, "sh", json.dumps(config)))["ready"] is True


def test_the_emulator_of_the_github_server_is_there(run: Run) -> None:
    look = "import('emulate').then(module => console.log(typeof module.createEmulator))"
    assert run("github", "sh", "-c", f'cd /opt/bzzz/lib/emulator && node -e "{look}"').strip() == "function"
    assert "http-backend" in run("github", "ls", "/usr/lib/git-core/git-http-backend")


def test_the_runner_runs_on_the_python_of_the_workspace(run: Run) -> None:
    assert "--peer-uid" in run("workspace", "python3", "/opt/bzzz/bzzz_runner.py", "--help")


def test_the_demo_has_its_tools(run: Run) -> None:
    pinned = next(
        line for line in (ROOT / "requirements.lock").read_text().splitlines() if line.startswith("ruff==")
    )
    assert run("demo-workspace", "ruff", "--version").strip() == pinned.replace("==", " ")
    assert run("demo-workspace", "which", "mend").strip() == "/usr/local/bin/mend"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_this_machine_and_no_compiler_is_left_in_it(run: Run, name: str) -> None:
    names = ("pip.conf", ".npmrc", "ca.crt", "*.bare", "gcc", "cc1", "npm", "*_Packages")
    tests = " -o ".join(f"-name '{pattern}'" for pattern in names)
    # what the user may not look into is Debian's own
    assert run(name, "sh", "-c", f"find / -xdev -type f -size +0 \\( {tests} \\) 2>/dev/null || true") == ""


@pytest.mark.parametrize("name", NAMES)
def test_images_stay_small(built: dict[str, Built], name: str) -> None:
    assert size_of(built[name]) <= MEGABYTES[name]


def test_what_did_not_change_is_not_built_or_exported_again(built: dict[str, Built], tmp_path: Path) -> None:
    first = build(["workspace"], export=tmp_path, say=lambda _: None)[0]
    assert first.archive is not None
    with tarfile.open(first.archive) as archive:
        index = json.load(archive.extractfile("index.json") or io.BytesIO())
    assert index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == first.reference
    written = first.archive.stat().st_mtime_ns
    again = build(["workspace"], export=tmp_path, say=lambda _: None)[0]
    assert again == first
    assert first.archive.stat().st_mtime_ns == written


def size_of(image: Built) -> float:
    """Return the unpacked size in MB."""
    return Store(cache_folder()).size(image.reference) / 1e6
