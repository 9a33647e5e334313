"""`python -m tools.up`: cluster, images, chart, a local GitHub, and what the hive makes of its issues.

Leaves the cluster up, so that one can look around with kubectl; `make cluster-down` removes it.
"""

from __future__ import annotations

import functools
import secrets
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import trio
import typer
from rich.console import Console

from bzzz_cli.errors import CommandError
from bzzz_cli.local.issues import load_issues
from bzzz_crds import ManifestError
from hmmm.errors import BzzzError
from tools.cluster.cluster import Cluster
from tools.cluster.errors import ClusterError
from tools.images.errors import ImageError
from tools.up.deploy import Deployment, Release, free_port, load_images
from tools.up.forward import forwarded
from tools.up.github_pod import NAME as GITHUB
from tools.up.github_pod import PORT as GITHUB_PORT
from tools.up.kube import Kube, KubeError
from tools.up.project import project_checkout
from tools.up.watching import Outside, plan_of, watch

ROOT: Final = Path(__file__).resolve().parents[2]
SCRIBE_PORT: Final = 8080

app = typer.Typer(add_completion=False, help=__doc__)
console = Console(highlight=False, soft_wrap=True)


@contextmanager
def step(what: str) -> Generator[None]:
    """Say what is done and how long it took."""
    started = time.monotonic()
    console.print(f"[bold]{what}[/bold] …")
    yield
    console.print(f"  done in {time.monotonic() - started:.1f} s")


@app.command()
def up(
    once: Annotated[
        bool, typer.Option(help="End when every issue has an outcome; 0 if all have one.")
    ] = False,
    namespace: Annotated[str, typer.Option(help="Where the hive lives.")] = "bzzz",
    release: Annotated[str, typer.Option(help="Helm release, and the hive's name.")] = "bzzz",
    manifest: Annotated[Path, typer.Option(help="HiveAgents to apply.")] = ROOT
    / "examples"
    / "hiveagent.yaml",
    issues: Annotated[Path, typer.Option(help="Issues of the local GitHub.")] = ROOT
    / "examples"
    / "issues.yaml",
    report: Annotated[Path, typer.Option(help="Pull requests, diffs and bundles go here.")] = ROOT
    / "build"
    / "up",
    port: Annotated[int, typer.Option(help="Port of 127.0.0.1 for the scribe's pages.")] = SCRIBE_PORT,
    timeout: Annotated[float, typer.Option(help="Seconds until --once gives up.")] = 900,
) -> None:
    """Bring the hive up, give it issues, watch it work."""
    try:
        code = _up(once, Release(namespace, release, port), manifest, issues, report, timeout)
    except (KubeError, ClusterError, ImageError, BzzzError, ManifestError, CommandError, ValueError) as error:
        console.print(f"make up: {error}", style="red", markup=False)
        code = 1
    except KeyboardInterrupt:
        code = 130
    raise typer.Exit(code)


def _up(once: bool, release: Release, manifest: Path, issues: Path, report: Path, timeout: float) -> int:
    plan, entries = plan_of(manifest), load_issues(issues)
    cluster = Cluster.up()
    load_images(cluster)
    deployment = Deployment(Kube(cluster.kubeconfig, cluster.bin, release.namespace), release)
    kube = deployment.kube
    with step(f"helm upgrade --install {release.name} charts/bzzz"):
        deployment.install()
    with step("the hive's key, made by the operator"):
        hive_key = deployment.hive_key()
    with step("a local GitHub with the example's project and issues"), project_checkout() as checkout:
        token = deployment.serve_github(
            checkout, plan.repositories[0], entries, hive_key, secrets.token_urlsafe(24)
        )
    with step(f"kubectl apply -f {_shown(manifest)}"):
        kube.kubectl("apply", "-f", str(manifest))
    with tempfile.TemporaryDirectory(prefix="bzzz-up-") as folder:
        token_file = Path(folder) / "token"
        token_file.write_text(token)
        with (
            forwarded(kube, f"{release.name}-scribe", SCRIBE_PORT, release.port) as scribe,
            forwarded(kube, GITHUB, GITHUB_PORT, free_port()) as github,
        ):
            console.print(f"transcripts {scribe.url}   GitHub {github.url}/{plan.repositories[0]}")
            console.print(
                f"look: kubectl --kubeconfig {_shown(kube.kubeconfig)} -n {kube.namespace} get metadiscussions -w"
            )
            outside = Outside(manifest, scribe.url, github.url, token_file, hive_key, report)
            code = trio.run(functools.partial(watch, outside, console, once=once, timeout_s=timeout))
    console.print(kube.kubectl("get", "hiveagents,metadiscussions"), markup=False)
    console.print("the cluster stays up; `make cluster-down` removes it")
    return code


def _shown(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    sys.exit(app())
