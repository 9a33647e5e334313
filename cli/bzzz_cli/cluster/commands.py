"""The commands' names and options; what they do is imported late, for `bzzz --help` needs none of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bzzz_cli.errors import CommandError, UsageError
from bzzz_crds.values import parse_duration

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="An agent: its pod's name, e.g. bzzz-0.")]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Default: the kubeconfig context's.")
]
ContextOption = Annotated[
    str | None, typer.Option(help="Context of the kubeconfig. Default: the current one.")
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is carried out.")]
TimeoutOption = Annotated[str, typer.Option(help="Longest wait.", metavar="DURATION")]


def register(app: typer.Typer, complain: Callable[[BaseException], int]) -> None:
    """Add the commands to the application; `complain` shows an error and returns the exit code."""

    @app.command()
    def revoke(  # pyright: ignore[reportUnusedFunction]
        node: NodeArgument,
        namespace: NamespaceOption = None,
        context: ContextOption = None,
        wait: WaitOption = True,
        timeout: TimeoutOption = "1m",
    ) -> None:
        """Put an agent out of the hive: its membership card is revoked, and it gets no new one until it is rotated.

        On Kubernetes. What it said before stays valid evidence.
        """
        raise typer.Exit(_run("revoke", node, namespace, context, timeout if wait else "0s", complain))

    @app.command()
    def rotate(  # pyright: ignore[reportUnusedFunction]
        node: NodeArgument,
        namespace: NamespaceOption = None,
        context: ContextOption = None,
        wait: WaitOption = True,
        timeout: TimeoutOption = "1m",
    ) -> None:
        """Give an agent new keys, a new log and a new card, revoke its old card, and restart its pod.

        On Kubernetes. The old log stays in the archive and stays valid evidence.
        """
        raise typer.Exit(_run("rotate", node, namespace, context, timeout if wait else "0s", complain))

    @app.command()
    def answer(  # pyright: ignore[reportUnusedFunction]
        issue: Annotated[
            str, typer.Argument(metavar="ISSUE", help="acme/widgets#7, #7, or a MetaDiscussion's name.")
        ],
        verdict: Annotated[
            str,
            typer.Argument(
                metavar="VERDICT", help="proceed (execute the plan), revise (with --text), or abandon."
            ),
        ],
        text: Annotated[str, typer.Option(help="What is to be revised, or why.")] = "",
        by: Annotated[str, typer.Option(help="Who decides. Default: your login.")] = "",
        state: Annotated[
            Path | None,
            typer.Option(
                help="Folder of a hive that `bzzz local` runs, as it prints it. Default: a cluster."
            ),
        ] = None,
        namespace: NamespaceOption = None,
        context: ContextOption = None,
        wait: WaitOption = True,
        timeout: TimeoutOption = "1m",
    ) -> None:
        """Decide what the agents could not: answer an escalation.

        The hive signs the answer, the claimant obeys it, and the pull request shows it.
        """
        typed = (issue, verdict, text, by)
        raise typer.Exit(_answer(typed, state, namespace, context, timeout if wait else "0s", complain))


def _answer(
    typed: tuple[str, str, str, str],
    state: Path | None,
    namespace: str | None,
    context: str | None,
    timeout: str,
    complain: Callable[[BaseException], int],
) -> int:
    from getpass import getuser

    from bzzz_cli.answering import Answer

    issue, verdict, text, by = typed
    try:
        given, wait_s = Answer.of(issue, verdict, text, by or getuser()), _seconds(timeout)
        if state is None:
            from bzzz_cli.cluster.answers import answer
            from bzzz_cli.cluster.connection import connect

            answer(connect(context, namespace), given, wait_s, print)
        elif namespace is not None or context is not None:
            raise UsageError("expected either --state, or a cluster's --namespace and --context")
        else:
            from bzzz_cli.local import answers

            answers.answer(answers.LocalHive(state), given, wait_s, print)
    except CommandError as error:
        return complain(error)
    return 0


def _run(
    verb: str,
    node: str,
    namespace: str | None,
    context: str | None,
    timeout: str,
    complain: Callable[[BaseException], int],
) -> int:
    from bzzz_cli.cluster.connection import connect
    from bzzz_cli.cluster.requests import Request, ask

    try:
        request = Request.about("revoke" if verb == "revoke" else "rotate", node)
        ask(connect(context, namespace), request, _seconds(timeout), print)
    except CommandError as error:
        return complain(error)
    return 0


def _seconds(text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise UsageError(f"--timeout: {error}, came {text!r}") from error
