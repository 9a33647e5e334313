"""Configuration files and command lines of the components. Pure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tools.cluster.layout import (
    API_PORT,
    CLUSTER_DOMAIN,
    DNS_SERVICE_IP,
    POD_CIDR,
    SERVICE_CIDR,
    Layout,
    NodePlace,
)

PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
CNI_BIN = "/usr/lib/cni"
ETCD_URL = "http://127.0.0.1:2379"
ISSUER = f"https://kubernetes.default.svc.{CLUSTER_DOMAIN}"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


def containerd_config(node: NodePlace) -> str:
    """Return containerd's config.toml: our pause image, and no AppArmor or OOM scores that a nested root lacks.

    The pod network's configuration comes from the node's folder: the machine's own /etc/cni may hold podman's.
    """
    return f"""version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_BIN}"
    conf_dir = "{node.folder / "etc-cni"}"
"""


def cni_config(node: NodePlace) -> str:
    """Return the pod network's configuration.

    `ptp`, as in kind: each pod has a wire of its own to the node, so that traffic between two pods of a node passes the
    node's routing and with it kube-proxy's rules. A bridge would need br_netfilter for that.
    """
    ipam = {"type": "host-local", "ranges": [[{"subnet": node.pod_cidr}]], "routes": [{"dst": "0.0.0.0/0"}]}
    plugins: list[dict[str, Any]] = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}, indent=1)


def kubelet_config(layout: Layout, node: NodePlace) -> str:
    """Return the kubelet's configuration: certificates and webhook decide who may speak to it, nobody is anonymous."""
    pki = layout.pki
    config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "address": node.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / f"kubelet-{node.name}.crt"),
        "tlsPrivateKeyFile": str(pki / f"kubelet-{node.name}.key"),
        "healthzBindAddress": "127.0.0.1",
        "readOnlyPort": 0,
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "clusterDomain": CLUSTER_DOMAIN,
        "clusterDNS": [DNS_SERVICE_IP],
        "resolvConf": "",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "kubeReserved": {"memory": "256Mi"},
        "maxPods": 110,
        "serializeImagePulls": False,
        # A node that is cut off is noticed in seconds, so that tests of it are quick.
        "nodeStatusUpdateFrequency": "4s",
        "shutdownGracePeriod": "0s",
    }
    return yaml.safe_dump(config, sort_keys=False)


def etcd_command(layout: Layout) -> list[str]:
    """Return etcd's command line; without fsync, as a test cluster's data need not survive the machine."""
    return [
        "etcd",
        f"--data-dir={layout.state / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--log-level=warn",
    ]


def apiserver_command(layout: Layout, control: NodePlace) -> list[str]:
    """Return the API server's command line."""
    pki, keys = layout.pki, layout.pki / "service-accounts"
    return [
        str(layout.bin / "kube-apiserver"),
        f"--etcd-servers={ETCD_URL}",
        f"--advertise-address={control.address}",
        f"--secure-port={API_PORT}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        f"--service-account-issuer={ISSUER}",
        f"--api-audiences={ISSUER}",
        f"--service-account-key-file={keys}.crt",
        f"--service-account-signing-key-file={keys}.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--anonymous-auth=false",
        "--allow-privileged=true",
        "--profiling=false",
        # asks etcd for something that Debian's etcd 3.4 does not know, over and over
        "--feature-gates=SizeBasedListCostEstimate=false",
    ]


def controller_manager_command(layout: Layout) -> list[str]:
    """Return the controller manager's command line; a node is unhealthy after 16 s of silence."""
    return [
        str(layout.bin / "kube-controller-manager"),
        f"--kubeconfig={layout.pki / 'controller-manager.kubeconfig'}",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={layout.pki / 'service-accounts.key'}",
        f"--root-ca-file={layout.pki / 'ca.crt'}",
        "--leader-elect=false",
        "--controllers=*,-tokencleaner,-bootstrapsigner,-nodeipam",
        "--node-monitor-grace-period=16s",
        "--node-monitor-period=2s",
        "--bind-address=127.0.0.1",
        "--profiling=false",
    ]


def scheduler_command(layout: Layout) -> list[str]:
    """Return the scheduler's command line."""
    return [
        str(layout.bin / "kube-scheduler"),
        f"--kubeconfig={layout.pki / 'scheduler.kubeconfig'}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--profiling=false",
    ]


def kubelet_command(layout: Layout, node: NodePlace) -> list[str]:
    """Return the kubelet's command line."""
    return [
        str(layout.bin / "kubelet"),
        f"--config={node.folder / 'kubelet.yaml'}",
        f"--kubeconfig={layout.pki / f'kubelet-{node.name}.kubeconfig'}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
        f"--node-labels=kubernetes.io/hostname={node.name}",
        "--root-dir=/var/lib/kubelet",
        "--v=1",
    ]


def proxy_command(layout: Layout, node: NodePlace) -> list[str]:
    """Return kube-proxy's command line; zeros keep it from setting sysctls of the machine."""
    return [
        str(layout.bin / "kube-proxy"),
        f"--kubeconfig={layout.pki / 'proxy.kubeconfig'}",
        f"--hostname-override={node.name}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={POD_CIDR}",
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        "--bind-address=127.0.0.1",
    ]


def policies_command(layout: Layout, node: NodePlace) -> list[str]:
    """Return the command line of kube-router as what enforces NetworkPolicies, and nothing else."""
    return [
        str(layout.bin / "kube-router"),
        f"--kubeconfig={layout.pki / 'policies.kubeconfig'}",
        f"--hostname-override={node.name}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--health-port=0",
    ]


def node_files(layout: Layout, node: NodePlace) -> dict[Path, str]:
    """Return the files of a node, by their place in the node's folder."""
    return {
        node.folder / "etc-containerd" / "config.toml": containerd_config(node),
        node.folder / "etc-cni" / "10-pods.conflist": cni_config(node),
        node.folder / "kubelet.yaml": kubelet_config(layout, node),
    }
