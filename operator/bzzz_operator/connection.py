"""How the operator logs in: in a cluster by its ServiceAccount, elsewhere by the kubeconfig that KUBECONFIG names."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Final

import kopf

from bzzz_operator.api import Api
from bzzz_operator.errors import OperatorError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def connect(namespace: str, *, connections: int = 32) -> Api:
    """Return a client for a namespace. kopf's own two ways to log in are used, without asking anyone.

    Raises OperatorError when there is neither a ServiceAccount nor a kubeconfig.
    """
    settings = kopf.OperatorSettings()
    account = kopf.login_with_service_account(settings=settings)
    if account is not None:
        host, port = (
            os.environ.get("KUBERNETES_SERVICE_HOST"),
            os.environ.get("KUBERNETES_SERVICE_PORT", "443"),
        )
        if host:  # as every other client does: needs no DNS, which may be just starting, too
            address = f"[{host}]" if ":" in host else host
            account = dataclasses.replace(account, server=f"https://{address}:{port}")
        return Api(account, namespace, token_file=SERVICE_ACCOUNT / "token", connections=connections)
    config = kopf.login_with_kubeconfig(settings=settings)
    if config is None:
        raise OperatorError(
            "expected a ServiceAccount's token or a kubeconfig, came neither; run the operator in a pod, or name "
            "a kubeconfig in KUBECONFIG"
        )
    return Api(config, namespace, connections=connections)
