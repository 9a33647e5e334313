"""Certificates, configuration files and images: what they say, without a cluster."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtensionOID, NameOID

from tools.cluster import binaries, render
from tools.cluster.cgroups import Cgroups, Hierarchy, is_pure_v2, parse_mountinfo
from tools.cluster.credentials import write_credentials
from tools.cluster.errors import last_lines
from tools.cluster.layout import Layout
from tools.cluster.oci import Image, write_archive
from tools.cluster.pki import Authority

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset,clone_children
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2 = "29 22 0:25 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "state", tmp_path / "cache")


def names_of(certificate: x509.Certificate) -> set[str]:
    value = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(value, x509.SubjectAlternativeName)
    return {str(n.value) for n in value}


def test_a_certificate_is_signed_by_the_authority_and_names_user_and_groups() -> None:
    authority = Authority("test")
    pair = authority.client("system:node:n1", ("system:nodes",))
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
    subject = certificate.subject
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["system:node:n1"]
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:nodes"]
    assert load_pem_private_key(pair.key, None).public_key() == certificate.public_key()


def test_the_api_server_is_known_by_loopback_service_and_node_address(layout: Layout) -> None:
    write_credentials(layout, [layout.node(1), layout.node(2)], 40123)
    certificate = x509.load_pem_x509_certificate((layout.pki / "apiserver.crt").read_bytes())
    assert {"127.0.0.1", "10.96.0.1", "10.99.0.1", "kubernetes.default.svc"} <= names_of(certificate)


def test_keys_and_kubeconfigs_are_for_the_owner_only(layout: Layout) -> None:
    write_credentials(layout, [layout.node(1)], 40123)
    secret = [layout.kubeconfig, *layout.pki.glob("*.key"), *layout.pki.glob("*.kubeconfig")]
    assert len(secret) >= 8
    assert {f.stat().st_mode & 0o777 for f in secret} == {0o600}
    assert "https://127.0.0.1:40123" in layout.kubeconfig.read_text()


def test_only_the_administrator_and_the_api_servers_kubelet_client_are_masters(layout: Layout) -> None:
    write_credentials(layout, [layout.node(1), layout.node(2)], 40123)
    subjects = {
        f.stem: x509.load_pem_x509_certificate(f.read_bytes()).subject.rfc4514_string()
        for f in layout.pki.glob("*.crt")
        if f.stem != "service-accounts"
    }
    assert {name for name, subject in subjects.items() if "masters" in subject} == {"kubelet-client"}


def test_the_kubelet_lets_nobody_in_unasked(layout: Layout) -> None:
    config = yaml.safe_load(render.kubelet_config(layout, layout.node(2)))
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authorization"] == {"mode": "Webhook"}
    assert config["readOnlyPort"] == 0
    assert config["address"] == "10.99.0.2"


def test_each_node_has_pod_addresses_of_its_own(layout: Layout) -> None:
    subnets = [json.loads(render.cni_config(layout.node(i)))["plugins"][0]["ipam"]["ranges"] for i in (1, 2)]
    assert subnets == [[[{"subnet": "10.244.1.0/24"}]], [[{"subnet": "10.244.2.0/24"}]]]


def test_no_component_sets_a_sysctl_of_the_machine(layout: Layout) -> None:
    command = render.proxy_command(layout, layout.node(1))
    assert {"--conntrack-max-per-core=0", "--conntrack-min=0"} <= set(command)


def test_the_cgroup_hierarchies_of_v1_are_found_with_the_options_that_mount_them_again() -> None:
    found = parse_mountinfo(V1)
    assert [h.options for h in found] == ["cpu,cpuacct", "cpuset", "none,name=systemd", ""]
    assert [h.has_cpuset for h in found] == [False, True, False, False]
    assert not is_pure_v2(found)


def test_cgroup_v2_alone_is_told_apart() -> None:
    found = parse_mountinfo(V2)
    assert found == [Hierarchy(Path("/sys/fs/cgroup"), "")]
    assert is_pure_v2(found)
    groups = Cgroups("bzzz-x", found)
    assert groups.roots("n1") == [Path("/sys/fs/cgroup/bzzz-x/n1/cgroup.procs")]
    assert groups.leaves("n1") == [Path("/sys/fs/cgroup/bzzz-x/n1/node/cgroup.procs")]


def test_programs_are_built_again_only_when_what_they_are_built_from_changed(tmp_path: Path) -> None:
    module = next(m for m in binaries.MODULES if m.name == "pause")
    assert not binaries.is_current(module, tmp_path)
    (tmp_path / "pause").write_text("program")
    (tmp_path / ".pause.stamp").write_text(module.digest())
    assert binaries.is_current(module, tmp_path)
    (tmp_path / ".pause.stamp").write_text("another digest")
    assert not binaries.is_current(module, tmp_path)


def test_kubernetes_says_its_version_as_the_official_builds_do() -> None:
    assert "version.gitVersion=v1.34.4" in binaries.kubernetes_ldflags()
    assert "version.gitMinor=34" in binaries.kubernetes_ldflags()


def test_an_image_archive_is_whole_and_the_same_for_the_same_input(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    image = Image("example.test/x:1", {"bin/program": program}, ["/bin/program"], {"bin/alias": "program"})
    one, two = tmp_path / "one.tar", tmp_path / "two.tar"
    write_archive(image, one)
    write_archive(image, two)
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as archive:
        read = {m.name: archive.extractfile(m).read() for m in archive.getmembers()}  # type: ignore[union-attr]
    blobs = {name.rpartition("/")[2]: data for name, data in read.items() if name.startswith("blobs/")}
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in blobs.items())
    entry = json.loads(read["index.json"])["manifests"][0]
    assert entry["annotations"]["io.containerd.image.name"] == "example.test/x:1"
    manifest = json.loads(blobs[entry["digest"].removeprefix("sha256:")])
    layer = blobs[manifest["layers"][0]["digest"].removeprefix("sha256:")]
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        assert {"bin", "bin/program", "bin/alias", "tmp"} == set(files.getnames())
        assert files.getmember("bin/program").mode == 0o755


def test_the_last_lines_of_a_log_are_shown_and_a_missing_log_is_said(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert last_lines(log) == "  (it has no log yet)"
    log.write_text("\n".join(str(i) for i in range(100)))
    assert last_lines(log, 2) == "  | 98\n  | 99"
