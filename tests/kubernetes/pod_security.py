"""Kubernetes' Pod Security Standards, level "restricted", which has all of "baseline" in it.

https://kubernetes.io/docs/concepts/security/pod-security-standards/; the paths are those of a pod's
specification.
"""

from collections.abc import Iterator
from typing import Any

type Object = dict[str, Any]

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
}
_SECCOMP = {"RuntimeDefault", "Localhost"}
_APPARMOR = {"RuntimeDefault", "Localhost"}
_SELINUX = {"container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def violations(pod: Object) -> list[str]:
    """What the standard forbids in a pod's specification; empty where it is restricted."""
    found = [*_of_pod(pod)]
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod.get(kind, ()):
            name = f"{kind}[{container['name']}]"
            found += [f"{name}: {one}" for one in _of_container(pod, container)]
    return found


def _of_pod(pod: Object) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield f"{name} is true"
    for volume in pod.get("volumes", ()):
        for kind in sorted(volume.keys() - {"name"} - _VOLUMES):
            yield f"volume {volume['name']} is a {kind}"
    context = pod.get("securityContext", {})
    for one in context.get("sysctls", ()):
        if one["name"] not in _SYSCTLS:
            yield f"sysctl {one['name']} is set"
    yield from _of_both(context)


def _of_both(context: Object) -> Iterator[str]:
    """What holds for a pod's security context and a container's alike."""
    if context.get("runAsUser") == 0:
        yield "runAsUser is 0"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "windowsOptions.hostProcess is true"
    apparmor = context.get("appArmorProfile", {}).get("type", "RuntimeDefault")
    if apparmor not in _APPARMOR:
        yield f"appArmorProfile is {apparmor}"
    selinux = context.get("seLinuxOptions", {})
    if selinux.get("user") or selinux.get("role"):
        yield "seLinuxOptions name a user or role"
    if selinux.get("type", "container_t") not in _SELINUX:
        yield f"seLinuxOptions.type is {selinux['type']}"


def _of_container(pod: Object, container: Object) -> Iterator[str]:
    outer = pod.get("securityContext", {})
    context = container.get("securityContext", {})
    yield from _of_both(context)
    if context.get("privileged"):
        yield "privileged is true"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if context.get("procMount", "Default") != "Default":
        yield f"procMount is {context['procMount']}"
    if context.get("runAsNonRoot", outer.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot is not true"
    seccomp = context.get("seccompProfile", outer.get("seccompProfile", {})).get("type")
    if seccomp not in _SECCOMP:
        yield f"seccompProfile is {seccomp}"
    yield from _of_capabilities(context.get("capabilities", {}))
    yield from _of_network(container)


def _of_capabilities(capabilities: Object) -> Iterator[str]:
    if "ALL" not in capabilities.get("drop", ()):
        yield "capabilities are not dropped"
    for one in sorted(set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}):
        yield f"capability {one} is added"


def _of_network(container: Object) -> Iterator[str]:
    for port in container.get("ports", ()):
        if port.get("hostPort"):
            yield f"port {port['hostPort']} of the host is taken"
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        for action in ("httpGet", "tcpSocket"):
            if container.get(name, {}).get(action, {}).get("host"):
                yield f"{name} names a host"
