"""Images, indexes, push and load as rules_oci 2.3.2 has them, with the same names and outputs."""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("//oci/private:image.bzl", _oci_image = "oci_image")
load("//oci/private:image_index.bzl", _oci_image_index = "oci_image_index")
load("//oci/private:load.bzl", _oci_load = "oci_load")
load("//oci/private:push.bzl", _oci_push = "oci_push")

_COMMON_ATTRIBUTES = [
    "compatible_with",
    "deprecation",
    "exec_compatible_with",
    "exec_properties",
    "features",
    "restricted_to",
    "tags",
    "target_compatible_with",
    "testonly",
    "toolchains",
    "visibility",
]

def _common(kwargs):
    return {name: kwargs[name] for name in _COMMON_ATTRIBUTES if name in kwargs}

def _file(name, kind, lines, kwargs):
    target = "{}_write_{}".format(name, kind)
    write_file(
        name = target,
        out = "{}.{}.txt".format(name, kind),
        content = lines,
        **_common(kwargs)
    )
    return target

def _pairs(name, kind, value, kwargs):
    """The label of a file of KEY=VALUE lines: what is no dict is one already."""
    if type(value) != "dict":
        return value
    return _file(name, kind, ["{}={}".format(key, text) for key, text in value.items()], kwargs)

def _lines(name, kind, value, kwargs):
    """The label of a file with a word a line: what is no list is one already."""
    if type(value) != "list":
        return value

    # A newline ends a word in the file, so one inside a word is written otherwise.
    return _file(name, kind, [word.replace("\n", "%5Cn") for word in value], kwargs)

def _joined(name, kind, value, kwargs):
    """The label of a file of names separated by commas: what is no list is one already."""
    if type(value) != "list":
        return value
    return _file(name, kind, [",".join(value)], kwargs)

def _digest(name, kwargs):
    native.filegroup(
        name = name + ".digest",
        srcs = [name + ".json.sha256"],
        **_common(kwargs)
    )

def oci_image(
        name,
        labels = None,
        annotations = None,
        env = None,
        cmd = None,
        entrypoint = None,
        exposed_ports = None,
        volumes = None,
        **kwargs):
    """Builds an image: a folder that holds an OCI layout.

    The target `NAME.digest` is a file, NAME.json.sha256, with the image's digest.

    Args:
        name: name of the target
        labels: dict of the config's labels, or a file of KEY=VALUE lines
        annotations: dict of the manifest's annotations, or a file of KEY=VALUE lines
        env: dict of environment variables, or a file of KEY=VALUE lines
        cmd: list of the default arguments, or a file with one a line
        entrypoint: list of the program and its first arguments, or a file with one a line
        exposed_ports: list of ports, or a file of ports separated by commas
        volumes: list of folders, or a file of folders separated by commas
        **kwargs: base, created, tars, user, workdir, os, architecture, variant, and what every
            rule takes
    """
    _oci_image(
        name = name,
        annotations = _pairs(name, "annotations", annotations, kwargs),
        cmd = _lines(name, "cmd", cmd, kwargs),
        digest = name + ".json.sha256",
        entrypoint = _lines(name, "entrypoint", entrypoint, kwargs),
        env = _pairs(name, "env", env, kwargs),
        exposed_ports = _joined(name, "exposed_ports", exposed_ports, kwargs),
        labels = _pairs(name, "labels", labels, kwargs),
        volumes = _joined(name, "volumes", volumes, kwargs),
        **kwargs
    )
    _digest(name, kwargs)

def oci_image_index(name, annotations = None, **kwargs):
    """Builds an index of images, one for each platform: a folder that holds an OCI layout.

    The target `NAME.digest` is a file, NAME.json.sha256, with the index's digest.

    Args:
        name: name of the target
        annotations: dict of the index's annotations, or a file of KEY=VALUE lines
        **kwargs: images, platforms, and what every rule takes
    """
    _oci_image_index(
        name = name,
        annotations = _pairs(name, "annotations", annotations, kwargs),
        digest = name + ".json.sha256",
        **kwargs
    )
    _digest(name, kwargs)

def oci_push(name, remote_tags = None, **kwargs):
    """Pushes an image or an index of images to a registry when it is run.

    Args:
        name: name of the target
        remote_tags: list of tags to set, or a file with one a line
        **kwargs: image, repository, repository_file, and what every rule takes
    """
    _oci_push(
        name = name,
        remote_tags = _lines(name, "tags", remote_tags, kwargs),
        **kwargs
    )

def oci_load(name, repo_tags = None, **kwargs):
    """Loads an image into docker, podman or nerdctl when it is run.

    The output group `tarball` holds the archive that is loaded.

    Args:
        name: name of the target
        repo_tags: list of names (repository:tag) for the image, or a file with one a line
        **kwargs: image, format, loader, and what every rule takes
    """
    _oci_load(
        name = name,
        repo_tags = _lines(name, "tags", repo_tags, kwargs),
        **kwargs
    )
