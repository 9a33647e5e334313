"""`python -m tools.cluster`: start, look at, disturb and end a cluster."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hmmm.errors import BzzzError
from tools.cluster.builtin import BuiltIn
from tools.cluster.choice import Choice
from tools.cluster.cluster import Cluster
from tools.cluster.errors import ClusterError, last_lines
from tools.cluster.layout import DEFAULT_STATE, Layout
from tools.cluster.steps import Steps


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    top = argparse.ArgumentParser(prog="python -m tools.cluster", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--state", type=Path, default=DEFAULT_STATE, help="the cluster's folder (default: build/cluster)"
    )
    common.add_argument("--quiet", action="store_true", help="do not tell each step")
    commands = top.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[common])

    up = add("up", "Start the cluster, unless it is up already; prints the kubeconfig's path.")
    kinds = up.add_mutually_exclusive_group()
    kinds.add_argument(
        "--context", metavar="NAME", help="use this context of your kubeconfig (a cluster of yours)"
    )
    kinds.add_argument("--kind", action="store_true", help="make one by kind (Docker)")
    kinds.add_argument("--builtin", action="store_true", help="make the built-in one (root)")
    up.add_argument("--nodes", type=int, default=2, help="how many nodes (default: 2)")
    add("build", "Install and build what the built-in cluster is made of, without starting it.")
    add("down", "End the cluster and remove everything of it.")
    add("status", "Say what runs; exit code 1 if the cluster is not healthy.")
    add("kubeconfig", "Print the kubeconfig's path.")
    add("load", "Bring image archives into every node.").add_argument(
        "files", nargs="+", type=Path, metavar="FILE.tar"
    )
    execute = add("exec-node", "Run a command on a node.")
    execute.add_argument("node")
    execute.add_argument("argument", nargs=argparse.REMAINDER)
    add("cut", "Cut a node off from the other nodes' network.").add_argument("node")
    add("heal", "Connect a node again.").add_argument("node")
    add("restart", "Kill a component and start it again.").add_argument("component", choices=["apiserver"])
    logs = add("logs", "Print a component's last log lines, or which components have a log.")
    logs.add_argument("component", nargs="?")
    logs.add_argument("--lines", type=int, default=50)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = parser().parse_args(arguments)
    steps = Steps(quiet=options.quiet)
    try:
        return run(options, steps)
    except BzzzError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1


def run(options: argparse.Namespace, steps: Steps) -> int:
    """Do what was asked; raises ClusterError."""
    if options.command == "up":
        return up(options, steps)
    if options.command == "build":
        BuiltIn(Layout.at(options.state), steps).make()
        return 0
    if options.command == "down":
        steps.say("down" if Cluster.end(options.state, steps=steps) else "there was no cluster")
        return 0
    cluster = Cluster.at(options.state, steps=steps)
    if options.command == "status":
        return status(cluster)
    if options.command == "exec-node":
        return execute(cluster, options)
    if options.command == "logs":
        logs(cluster, options.component, options.lines)
    elif options.command == "kubeconfig":
        print(cluster.kubeconfig)
    elif options.command == "load":
        cluster.load(options.files)
    elif options.command == "restart":
        with steps.step("restarting the API server"):
            cluster.restart_apiserver()
    else:
        act = cluster.cut if options.command == "cut" else cluster.heal
        act(options.node)
    return 0


def up(options: argparse.Namespace, steps: Steps) -> int:
    """Start the cluster and tell where its kubeconfig is."""
    choice = None
    if options.context:
        choice = Choice("context", options.context)
    elif options.kind:
        choice = Choice("kind")
    elif options.builtin:
        choice = Choice("builtin")
    cluster = Cluster.up(options.state, choice=choice, nodes=options.nodes, steps=steps)
    if steps.taken:
        steps.say("it took\n" + steps.table())
    steps.say(f"kubectl, helm and kubeconform are in {cluster.bin}")
    print(cluster.kubeconfig)
    return 0


def status(cluster: Cluster) -> int:
    """Print what runs and the nodes; return 1 if the cluster is not healthy."""
    healthy = cluster.backend.healthy()
    for name, state in cluster.backend.status().items():
        print(f"{name:<24}{state}")
    if healthy:
        print(cluster.kubectl.run("get", "nodes", "-o", "wide").rstrip())
    print(f"{'healthy' if healthy else 'NOT healthy'}, kubeconfig {cluster.kubeconfig}")
    return 0 if healthy else 1


def execute(cluster: Cluster, options: argparse.Namespace) -> int:
    """Run a command on a node and return its exit code."""
    command = options.argument[1:] if options.argument[:1] == ["--"] else options.argument
    if not command:
        raise ClusterError(f"expected a command, for example: exec-node {options.node} -- ip route")
    return cluster.backend.execute(options.node, command)


def logs(cluster: Cluster, component: str | None, lines: int) -> None:
    """Print a component's last log lines, or the names of all logs."""
    known = sorted(p.stem for p in cluster.layout.logs.glob("*.log"))
    if component is None:
        print("\n".join(known) or "no logs")
    elif component not in known:
        raise ClusterError(f"expected a component out of {', '.join(known)}; got {component!r}")
    else:
        print(last_lines(cluster.layout.logs / f"{component}.log", lines))


if __name__ == "__main__":
    sys.exit(main())
