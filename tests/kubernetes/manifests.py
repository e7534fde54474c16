"""The rendered manifests, as tests ask for them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy import definition
from deploy.definition import Definition

type Object = dict[str, Any]


class Manifests(list[Object]):
    """The objects of one rendered file, in its order."""

    @classmethod
    def read(cls, file: Path) -> "Manifests":
        """Reads a file of YAML documents."""
        return cls(one for one in yaml.safe_load_all(file.read_text()) if one)

    def of(self, kind: str) -> list[Object]:
        """All of a kind."""
        return [one for one in self if one["kind"] == kind]

    def one(self, kind: str, name: str) -> Object:
        """The object of that kind and name; of generated names, the part before the hash.

        Raises `LookupError` naming what there is.
        """
        found = [
            one
            for one in self.of(kind)
            if one["metadata"]["name"] == name or one["metadata"]["name"].rpartition("-")[0] == name
        ]
        if len(found) != 1:
            names = [f"{one['kind']}/{one['metadata']['name']}" for one in self]
            raise LookupError(f"expected one {kind}/{name}, got {len(found)} among {names}")
        return found[0]

    def pods(self) -> Iterator[tuple[str, Object, Object]]:
        """Each pod that there will be: what to call it, its labels, its specification."""
        for one in self:
            if one["kind"] == "Pod":
                template = one
            elif "template" in one.get("spec", {}):
                template = one["spec"]["template"]
            else:
                continue
            yield (
                f"{one['kind']}/{one['metadata']['name']}",
                template["metadata"].get("labels", {}),
                template["spec"],
            )

    def server(self, service: str) -> tuple[Object, Object]:
        """The pod of a service that serves, and its container."""
        pod = self.one("Deployment", service)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        return pod, container

    def migration(self, service: str) -> tuple[Object, Object]:
        """The pod of a service that migrates, and its container."""
        pod = self.one("Job", f"{service}-migrate")["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        return pod, container

    def policies(self, labels: Object, direction: str) -> list[Object]:
        """The rules of all policies that select a pod with those labels: ingress or egress."""
        found = []
        for policy in self.of("NetworkPolicy"):
            selector = policy["spec"]["podSelector"].get("matchLabels", {})
            if selector.items() <= labels.items():
                found += policy["spec"].get(direction, [])
        return found

    def settings(self, pod: Object, container: Object) -> dict[str, str]:
        """A container's environment: its own variables over those of its ConfigMaps.

        Variables whose values a manifest does not hold, a Secret's for one, are not among them.
        """
        values: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            if "configMapRef" not in source:
                continue
            name = source["configMapRef"]["name"]
            (found,) = [one for one in self.of("ConfigMap") if one["metadata"]["name"] == name]
            values |= found["data"]
        own = container.get("env", ())
        return values | {one["name"]: one["value"] for one in own if "value" in one}


def mounted(pod: Object, container: Object) -> dict[str, tuple[str, str]]:
    """The files of secrets in a container: path, and the Secret's name and key.

    A Secret that is mounted whole counts with the key None, as folder with a slash.
    """
    volumes = {one["name"]: one for one in pod.get("volumes", ())}
    files: dict[str, tuple[str, str]] = {}
    for mount in container.get("volumeMounts", ()):
        secret = volumes[mount["name"]].get("secret")
        if secret is None:
            continue
        for item in secret.get("items", ()):
            path = f"{mount['mountPath']}/{item['path']}"
            files[path] = (secret["secretName"], item["key"])
        if "items" not in secret:
            files[f"{mount['mountPath']}/"] = (secret["secretName"], "")
    return files


def rendered(name: str) -> Manifests:
    """The file that the variable `name` names, as the BUILD file sets it."""
    return Manifests.read(Path(os.environ[name]))


def service() -> Definition:
    """The definition of the service that the tests are of, which the BUILD file names."""
    return definition.read(Path(os.environ["SERVICE"]))
