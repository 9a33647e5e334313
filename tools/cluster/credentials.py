"""Who is who in the built-in cluster: writes all certificates and kubeconfigs of a new cluster."""

from __future__ import annotations

from pathlib import Path

from tools.cluster.layout import API_PORT, API_SERVICE_IP, CLUSTER_DOMAIN, Layout, NodePlace
from tools.cluster.pki import Authority, kubeconfig, signing_pair, write_secret

ADMIN = ("bzzz-admin", ("system:masters",))
KUBELET_CLIENT = ("kube-apiserver-kubelet-client", ("system:masters",))
COMPONENTS = {
    "controller-manager": "system:kube-controller-manager",
    "scheduler": "system:kube-scheduler",
    "proxy": "system:kube-proxy",
    "policies": "bzzz:network-policies",
}


def api_names(control: NodePlace) -> list[str]:
    """Return the names and addresses under which the API server is reached."""
    service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    return [
        "localhost",
        *service,
        f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
        "127.0.0.1",
        API_SERVICE_IP,
        control.address,
    ]


def write_credentials(layout: Layout, nodes: list[NodePlace], port: int) -> None:
    """Make the authority and everything that it signs; `port` is the API's on the machine's loopback."""
    folder = layout.pki
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    authority = Authority(layout.identity)
    (folder / "ca.crt").write_bytes(authority.certificate)
    authority.server("kube-apiserver", api_names(nodes[0])).write(folder, "apiserver")
    authority.client(*KUBELET_CLIENT).write(folder, "kubelet-client")
    signing_pair().write(folder, "service-accounts")
    inside = f"https://{nodes[0].address}:{API_PORT}"

    def configure(file: Path, server: str, user: str, groups: tuple[str, ...] = ()) -> None:
        client = authority.client(user, groups)
        write_secret(file, kubeconfig(server, authority.certificate, client, layout.identity).encode())

    configure(layout.kubeconfig, f"https://127.0.0.1:{port}", *ADMIN)
    configure(folder / "admin.kubeconfig", inside, *ADMIN)
    for component, user in COMPONENTS.items():
        configure(folder / f"{component}.kubeconfig", inside, user)
    for node in nodes:
        authority.server(f"kubelet-{node.name}", [node.name, node.address]).write(
            folder, f"kubelet-{node.name}"
        )
        configure(
            folder / f"kubelet-{node.name}.kubeconfig", inside, f"system:node:{node.name}", ("system:nodes",)
        )
