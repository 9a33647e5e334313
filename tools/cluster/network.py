"""The wire between the nodes: a bridge in the first node's namespace, one veth pair for each other node.

Both ends are made inside the nodes' namespaces; the machine never sees an interface. A node is cut off by taking
down its port at the bridge, which leaves its own addresses and routes as they are.
"""

from __future__ import annotations

import subprocess

from tools.cluster.node import Node

BRIDGE = "nodes"
UPLINK = "eth0"


def port(node: Node) -> str:
    """Return the name of a node's port at the bridge."""
    return f"to-{node.place.name}"


def connect(nodes: list[Node]) -> None:
    """Wire the nodes together and give each the routes to the others' pods."""
    first, *others = nodes
    first.run("ip", "link", "add", BRIDGE, "type", "bridge")
    for node in others:
        # from inside the first node: the far end is moved by a process id, which its own pid namespace does not know
        first.run("ip", "link", "add", port(node), "type", "veth", "peer", "name", f"peer-{node.place.name}")
        move_link(first, node, f"peer-{node.place.name}")
        first.run("ip", "link", "set", port(node), "master", BRIDGE, "up")
        node.run("ip", "link", "set", f"peer-{node.place.name}", "name", UPLINK)
    for node in nodes:
        device = BRIDGE if node is first else UPLINK
        node.run("ip", "address", "add", f"{node.place.address}/24", "dev", device)
        node.run("ip", "link", "set", device, "up")
        for other in nodes:
            if other is not node:
                node.run("ip", "route", "add", other.place.pod_cidr, "via", other.place.address)
        # kubelet and API server look for a default route to learn their address; nothing answers there
        node.run("ip", "route", "add", "default", "via", nodes[0 if node is not first else -1].place.address)


def move_link(source: Node, target: Node, link: str) -> None:
    """Move a link from one node's network namespace into another's, by the machine's process ids."""

    command = [
        "nsenter",
        "-t",
        str(source.init_pid),
        "-n",
        "ip",
        "link",
        "set",
        link,
        "netns",
        str(target.init_pid),
    ]
    subprocess.run(command, check=True, timeout=10)


def ports_of(nodes: list[Node], name: str) -> list[str]:
    """Return the ports that separate a node from all others: its own, or all where it is the first."""
    first, *others = nodes
    return [port(n) for n in others if name in (n.place.name, first.place.name)]


def set_connected(nodes: list[Node], name: str, connected: bool) -> None:
    """Cut a node off from the others (both ways), or connect it again."""
    for link in ports_of(nodes, name):
        nodes[0].run("ip", "link", "set", link, "up" if connected else "down")
