"""The checks of the Pod Security Standard find what it forbids."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.manifests import Manifests, Object, service
from tests.kubernetes.pod_security import violations


def set_in(path: str, value: Any) -> Callable[[Object], None]:
    """Changes a pod's specification at a dotted path; "0" is a list's first."""

    def change(pod: Object) -> None:
        *folders, last = path.split(".")
        here: Any = pod
        for folder in folders:
            here = here[int(folder)] if folder == "0" else here.setdefault(folder, {})
        if value is None:
            del here[last]
        else:
            here[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hostNetwork", True),
        ("hostPID", True),
        ("hostIPC", True),
        ("volumes.0", {"name": "tmp", "hostPath": {"path": "/"}}),
        ("securityContext.runAsNonRoot", None),
        ("securityContext.runAsUser", 0),
        ("securityContext.seccompProfile", None),
        ("securityContext.seccompProfile.type", "Unconfined"),
        ("securityContext.appArmorProfile.type", "Unconfined"),
        ("securityContext.seLinuxOptions.type", "spc_t"),
        ("securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}]),
        ("containers.0.securityContext", None),
        ("containers.0.securityContext.privileged", True),
        ("containers.0.securityContext.allowPrivilegeEscalation", None),
        ("containers.0.securityContext.capabilities.drop", ["NET_RAW"]),
        ("containers.0.securityContext.capabilities.add", ["SYS_PTRACE"]),
        ("containers.0.securityContext.procMount", "Unmasked"),
        ("containers.0.securityContext.runAsUser", 0),
        ("containers.0.securityContext.runAsNonRoot", False),
        ("containers.0.securityContext.seccompProfile.type", "Unconfined"),
        ("containers.0.ports.0.hostPort", 8000),
        ("containers.0.livenessProbe.httpGet.host", "192.0.2.1"),
    ],
)
def test_the_checks_find_what_the_standard_forbids(path: str, value: Any) -> None:
    manifests = Manifests.read(Path(os.environ["MANIFESTS"]))
    pod = copy.deepcopy(manifests.server(service()["service"])[0])
    assert not violations(pod)
    key = [int(one) if one == "0" else one for one in path.split(".")]
    if key[-1] == 0:
        pod["volumes"][0] = value
    else:
        set_in(path, value)(pod)

    assert violations(pod)
