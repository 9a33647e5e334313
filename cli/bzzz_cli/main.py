"""The command line: `bzzz local`, `bzzz verify`, and what talks to a cluster (`bzzz_cli.cluster`)."""

from __future__ import annotations

import re
import sys
import traceback
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bzzz_cli.cluster.commands import register
from bzzz_cli.console import printable
from bzzz_cli.errors import EXIT_FAILED, EXIT_USAGE, UsageError
from bzzz_crds.errors import ManifestError
from bzzz_crds.values import parse_duration
from hmmm.errors import BzzzError, excerpt

if TYPE_CHECKING:
    from bzzz_cli.local.plan import EscalationOptions

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Bzzz: a hive of coding agents that debate before they act and leave evidence.",
)


def complain(error: BaseException) -> int:
    """Print an error for the user, each line marked; return the exit code: 2 for wrong use, 1 for what went wrong."""
    if not isinstance(error, BzzzError | ManifestError):
        traceback.print_exception(error)
        return EXIT_FAILED
    for line in str(error).splitlines() or [type(error).__name__]:
        print(f"bzzz: {printable(line)}", file=sys.stderr)
    return EXIT_USAGE if isinstance(error, UsageError | ManifestError) else EXIT_FAILED


def _duration(option: str, text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}, came {text!r}") from error


def _failpoint(text: str) -> tuple[str, str]:
    node, separator, point = text.partition("=")
    if not separator:
        raise UsageError(f"--failpoint: expected NODE=POINT, came {text!r}")
    return node, point


@app.callback()
def bzzz() -> None:
    """Bzzz: a hive of coding agents that debate before they act and leave evidence."""


@app.command()
def local(
    file: Annotated[Path, typer.Option("--file", "-f", help="Manifest with one or more HiveAgents.")],
    repo: Annotated[
        Path | None, typer.Option(help="Git checkout to serve as the manifest's repository; it is only read.")
    ] = None,
    issues: Annotated[
        Path | None, typer.Option(help="YAML list of issues: title, body, labels, author_association.")
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Exit when every eligible issue has a pull request or a stated outcome."),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.json and each pull request's diff and evidence.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model in place of the manifest's, e.g. anthropic:claude-opus-4.")
    ] = None,
    timeout: Annotated[str, typer.Option(help="Longest run with --once.", metavar="DURATION")] = "20m",
    window: Annotated[
        str | None, typer.Option(help="Objection window in place of the manifest's.", metavar="DURATION")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Folder for keys, logs and configuration; kept. Default: a temporary one."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the temporary folder too.")] = False,
    github_record: Annotated[
        Path | None, typer.Option(help="File for the local GitHub server's requests and answers.")
    ] = None,
    tools: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder whose bin/ commands find programs in. Default: tools/ beside the manifest."
        ),
    ] = None,
    escalation_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Webhook that tells people when a human is asked, e.g. n8n's."),
    ] = None,
    escalation_secret: Annotated[
        Path | None,
        typer.Option(help="Folder with the files token and hmac, which hive and webhook share."),
    ] = None,
    answers_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of 127.0.0.1 at which people's answers come in.")
    ] = 8083,
    failpoint: Annotated[list[str] | None, typer.Option(hidden=True, help="NODE=POINT, for tests.")] = None,
) -> None:
    """Run a whole hive on this machine, from the manifest that Kubernetes takes.

    With --repo, or without GITHUB_TOKEN, a local GitHub server is started and used; else the real one.
    Model keys are taken from the environment (ANTHROPIC_API_KEY, OPENAI_API_KEY, …); without one a small embedded
    model is used. Ctrl-C stops everything.
    """
    # Imported late, for `bzzz --help` needs none of it.
    from bzzz_cli.local.plan import LocalOptions, make_plan
    from bzzz_cli.local.run import run_local

    try:
        options = LocalOptions(
            manifest=file,
            repo=repo,
            issues=issues,
            once=once,
            report=report,
            model=model,
            timeout=_duration("--timeout", timeout),
            window=None if window is None else _duration("--window", window),
            state=state,
            keep=keep,
            github_record=github_record,
            tools=tuple(tools or ()),
            escalation=_escalation(escalation_url, escalation_secret, answers_port),
            failpoints=tuple(_failpoint(text) for text in failpoint or ()),
        )
        code = run_local(options, make_plan(options), complain)
    except (BzzzError, ManifestError) as error:
        code = complain(error)
    raise typer.Exit(code)


def _escalation(url: str | None, secret: Path | None, port: int) -> EscalationOptions | None:
    """Check what was typed. Raises UsageError."""
    from bzzz_cli.local.plan import EscalationOptions

    if url is None and secret is None:
        return None
    if url is None or secret is None:
        raise UsageError("--escalation-url and --escalation-secret: expected both, or neither")
    if not re.fullmatch(r"https?://[!-~]{1,490}", url):
        raise UsageError(f"--escalation-url: expected an http or https address, came {excerpt(url)}")
    missing = [key for key in ("token", "hmac") if not (secret / key).is_file()]
    if missing:
        raise UsageError(f"--escalation-secret {secret}: expected a file {' and '.join(missing)} in it")
    return EscalationOptions(url, secret, port)


@app.command()
def verify(
    url: Annotated[str | None, typer.Argument(metavar="[PR_URL]", help="The pull request's address.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Evidence bundle, instead of the one behind the transcript.")
    ] = None,
    pr: Annotated[
        Path | None, typer.Option(help="Pull request as GitHub's API gives it: offline, with --bundle.")
    ] = None,
    hive_key: Annotated[
        str | None,
        typer.Option(help="The hive's public key in hex, or a file with it. Default: .bzzz/hive.pub."),
    ] = None,
    diff: Annotated[Path | None, typer.Option(help="The pull request's diff, offline.")] = None,
    revocations: Annotated[Path | None, typer.Option(help="Signed revocations to go by, offline.")] = None,
    api_url: Annotated[str | None, typer.Option(help="GitHub API of the pull request's host.")] = None,
) -> None:
    """Check a pull request's evidence: from the pinned hive key to its commit, a line a link.

    Exit code 0 if everything holds, 1 at the first link that does not, 2 for wrong use.
    GITHUB_TOKEN is used for github.com, and for another host only with --api-url.
    """
    from bzzz_cli.verify.command import verify as walk
    from bzzz_cli.verify.material import offline
    from bzzz_cli.verify.online import online

    try:
        if url is not None and not (pr or diff or revocations):
            material = online(url, api_url=api_url, hive_key=hive_key, bundle=bundle)
        elif url is None and bundle is not None and pr is not None:
            material = offline(bundle, pr, hive_key, diff, revocations)
        else:
            raise UsageError("expected either PR_URL, or --bundle and --pr (see --help)")
        code = walk(material, print)
    except (BzzzError, ManifestError) as error:
        code = complain(error)
    raise typer.Exit(code)


register(app, complain)

if __name__ == "__main__":
    app()
