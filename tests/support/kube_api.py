"""A real Kubernetes API server for tests: etcd and kube-apiserver on 127.0.0.1, RBAC on, nothing else.

    with ApiServer.start() as api:
        api.apply(Path("crds/hiveagents.bzzz.dev.yaml").read_text())
        api.kubectl("get", "hiveagents", "-A")             # CompletedProcess, text
        api.token_for("default", "scribe")                 # makes the ServiceAccount if it is missing
        here = api.mark(); ...; api.writes(since=here, user="admin")

There are no controllers and no kubelet: a StatefulSet makes no pods, a deleted owner leaves its children, a deleted
namespace stays Terminating. Use a namespace a test (`api.namespace()`). Start takes about 3 s: share one a module.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.kube_audit import POLICY, Write, read_writes
from tests.support.kube_pki import Pki, make_pki
from tests.support.kube_programs import binary, die_with_the_test, free_ports, kill
from tests.support.processes import eventually

ADMIN = "admin"
START_S = 60.0
"""Patience for a busy machine; 3 s is usual."""


@dataclass
class ApiServer:
    """One running API server; `start()` makes it."""

    folder: Path
    """Keys, logs and etcd's data; removed at the end."""
    port: int
    etcd_port: int
    pki: Pki
    tokens: dict[str, str]
    """Static users and their bearer tokens; `admin` is in system:masters."""
    feature_flags: Sequence[str] = ()
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict[str, "subprocess.Popen[bytes]"])

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, *, users: Mapping[str, Sequence[str]] | None = None, flags: Sequence[str] = ()
    ) -> Generator[ApiServer]:
        """Run one until the block is left, however it is left.

        `users` are further static users (name → groups) beside ServiceAccounts; `flags` go to kube-apiserver.
        """
        folder = Path(tempfile.mkdtemp(prefix="bzzz-api-"))
        everybody = {
            ADMIN: ["system:masters"],
            **{name: list(groups) for name, groups in (users or {}).items()},
        }
        tokens = {name: secrets.token_hex(16) for name in everybody}
        rows = [f'{tokens[name]},{name},{name},"{",".join(groups)}"\n' for name, groups in everybody.items()]
        (folder / "tokens.csv").write_text("".join(rows))
        (folder / "audit.yaml").write_text(POLICY)
        port, etcd_port, peer_port = free_ports(3)
        api = cls(folder, port, etcd_port, make_pki(folder), tokens, flags)
        try:
            api._spawn("etcd", api._etcd_flags(peer_port))
            api.serve()
            yield api
        finally:
            api._end()

    @property
    def url(self) -> str:
        """Where it listens: `https://127.0.0.1:PORT`."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The CA that signed its certificate."""
        return self.pki.ca

    @property
    def admin_token(self) -> str:
        """Bearer token of a user who may do everything."""
        return self.tokens[ADMIN]

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of the admin."""
        return self.kubeconfig_of(self.admin_token)

    @property
    def pid(self) -> int:
        """Process id of kube-apiserver."""
        return self._running["kube-apiserver"].pid

    def kubeconfig_of(self, token: str, namespace: str = "default") -> Path:
        """Write a kubeconfig for a bearer token and return its path."""
        path = self.folder / f"kubeconfig-{token[-12:]}-{namespace}"
        if not path.exists():
            cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
            config = {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "test", "user": {"token": token}}],
                "contexts": [
                    {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}
                ],
            }
            path.write_text(json.dumps(config))
            path.chmod(0o600)
        return path

    def kubectl(
        self,
        *args: str | Path,
        input: str | None = None,  # noqa: A002 - as subprocess.run calls it
        check: bool = True,
        token: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the admin, or as the holder of `token`.

        Raises AssertionError with its words when it fails and `check` is true.
        """
        config = self.kubeconfig_of(token or self.admin_token)
        argv = [str(binary("kubectl")), "--kubeconfig", str(config), *map(str, args)]
        environment = {**os.environ, "KUBECACHEDIR": str(self.folder / "kube-cache")}
        done = subprocess.run(
            argv, input=input, capture_output=True, text=True, env=environment, check=False, timeout=60
        )
        assert done.returncode == 0 or not check, f"kubectl {' '.join(map(str, args))}: {done.stderr.strip()}"
        return done

    def apply(self, text: str, *args: str) -> subprocess.CompletedProcess[str]:
        """Apply YAML by server-side apply, and wait until the definitions among it are served."""
        done = self.kubectl("apply", "--server-side", "-f", "-", *args, input=text)
        if "customresourcedefinition" in done.stdout:
            argv = ("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
            # kubectl gives up on one that has no status at all yet
            eventually(
                lambda: self.kubectl(*argv, check=False).returncode == 0, within=START_S, what="definitions"
            )
        return done

    def get(self, *args: str) -> dict[str, object]:
        """Return `kubectl get ARGS -o json`, parsed."""
        return json.loads(self.kubectl("get", *args, "-o", "json").stdout)

    def namespace(self, prefix: str = "hive") -> str:
        """Make a fresh namespace and return its name."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        self.kubectl("create", "namespace", name)
        return name

    def token_for(self, namespace: str, account: str, duration: str = "1h") -> str:
        """Return a token of a ServiceAccount, which is made when it is missing; rights come by your RoleBindings."""
        made = self.kubectl("create", "serviceaccount", account, "-n", namespace, check=False)
        assert made.returncode == 0 or "already exists" in made.stderr, made.stderr
        return self.kubectl(
            "create", "token", account, "-n", namespace, f"--duration={duration}"
        ).stdout.strip()

    def mark(self) -> int:
        """Return a place in the audit log, for `writes(since=…)`."""
        log = self.folder / "audit.log"
        return log.stat().st_size if log.exists() else 0

    def writes(
        self, *, since: int = 0, user: str | None = None, agent: str | None = None, refused: bool = False
    ) -> list[Write]:
        """Return the writes since a mark: of one user (exact), of one program (text within its User-Agent).

        Answered with 2xx only, unless `refused`. A line follows its answer within milliseconds, not at once: wait
        for the count you expect with `eventually`.
        """
        return [
            write
            for write in read_writes(self.folder / "audit.log", since)
            if (user is None or write.user == user)
            and (agent is None or agent in write.agent)
            and (refused or 200 <= write.code < 300)
        ]

    def kill(self) -> None:
        """End kube-apiserver at once, as a crash would; `serve()` brings it back with all its objects."""
        kill(self._running.pop("kube-apiserver"))

    def serve(self) -> None:
        """Start kube-apiserver on its port and wait until it is ready."""
        self._spawn("kube-apiserver", self._flags())
        eventually(self._is_ready, within=START_S, what="kube-apiserver is ready")

    def restart(self) -> None:
        """Kill kube-apiserver and start it again: same port, same objects, every watch broken."""
        self.kill()
        self.serve()

    def _is_ready(self) -> bool:
        for name, process in self._running.items():
            tail = (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]
            assert process.poll() is None, f"{name} ended with {process.returncode}: {tail}"
        return self._answers("/readyz") and self._answers("/api/v1/namespaces/default")

    def _answers(self, path: str) -> bool:
        request = urllib.request.Request(
            f"{self.url}{path}", headers={"Authorization": f"Bearer {self.admin_token}"}
        )
        try:
            trust = ssl.create_default_context(cafile=str(self.ca_file))
            with urllib.request.urlopen(request, context=trust, timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _etcd_flags(self, peer_port: int) -> list[str]:
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{peer_port}"
        return [
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]

    def _flags(self) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self.pki.certificate}",
            f"--tls-private-key-file={self.pki.key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.pki.accounts_public}",
            f"--service-account-signing-key-file={self.pki.accounts_key}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",  # nobody makes the `default` account a pod would need
            f"--audit-policy-file={self.folder / 'audit.yaml'}",
            f"--audit-log-path={self.folder / 'audit.log'}",
            "--shutdown-delay-duration=0s",
            *self.feature_flags,
        ]

    def _spawn(self, name: str, flags: Sequence[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(binary(name)), *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=die_with_the_test(),
            )

    def _end(self) -> None:
        for process in reversed(self._running.values()):
            kill(process)
        self._running.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
