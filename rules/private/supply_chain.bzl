"""What goes with an image to those who have to trust it."""

load("@rules_python//python:defs.bzl", "py_binary")
load("//tools/pytest:defs.bzl", "pytest_test")
load(":provenance.bzl", "provenance")
load(":recipe.bzl", "PLATFORMS")
load(":sbom.bzl", "sbom")

_CRANE = Label("//rules/diff:crane")
_REPORT = Label("//rules/report")

def _described(service, path):
    """What a report is about, as its program takes it; `path` is how Bazel gives a file's path."""
    words = [
        "--name=" + service,
        "--index=$({} :index)".format(path),
        "--provenance=$({} :provenance)".format(path),
    ]
    for architecture in PLATFORMS:
        words += ["--sbom", architecture, "$({} sbom_{}.spdx.json)".format(path, architecture)]
    return words

def supply_chain(name, layers, service, **kwargs):
    """Makes what describes an image, scans it and publishes it.

    That is `sbom_amd64`, `sbom_arm64`, `sbom`, which is both, `provenance`, `scan`, `scan_test`, `update`,
    `report`, `report.page` and `push`.

    Args:
        name: name of the image.
        layers: its layers, lowest first.
        service: what the service is called.
        **kwargs: what every rule takes, such as visibility and tags.
    """
    for architecture, platform in PLATFORMS.items():
        sbom(
            name = "sbom_" + architecture,
            cyclonedx = "sbom_{}.cdx.json".format(architecture),
            image = ":" + name,
            layers = layers,
            platform = platform,
            service = name + ".service",
            spdx = "sbom_{}.spdx.json".format(architecture),
            **kwargs
        )
    native.filegroup(
        name = "sbom",
        srcs = ["sbom_" + architecture for architecture in PLATFORMS],
        **kwargs
    )
    provenance(
        name = "provenance",
        index = ":index",
        sboms = [":sbom_" + architecture for architecture in PLATFORMS],
        service = name + ".service",
        **kwargs
    )
    documents = ["sbom_{}.spdx.json".format(architecture) for architecture in PLATFORMS]
    py_binary(
        name = "scan",
        srcs = [Label("//rules/scan:__main__.py")],
        args = ["--name=" + service] + ["--sbom=$(rootpath {})".format(each) for each in documents],
        data = documents,
        main = Label("//rules/scan:__main__.py"),
        deps = [Label("//rules/scan:program")],
        **kwargs
    )
    py_binary(
        name = "update",
        srcs = [Label("//rules/update:__main__.py")],
        args = ["--package=" + native.package_name()],
        main = Label("//rules/update:__main__.py"),
        deps = [Label("//rules/update:lib")],
        **kwargs
    )
    pytest_test(
        name = "scan_test",
        size = "medium",
        srcs = ["//rules/scan/tests:test_image.py"],
        data = documents,
        env = {"SBOMS": " ".join(["$(rootpath {})".format(each) for each in documents])},
        deps = ["//rules/scan:program"],
        **kwargs
    )
    description = [":index", ":provenance"] + documents
    native.genrule(
        name = "report",
        srcs = description,
        outs = ["report.html"],
        cmd = " ".join(["$(execpath {})".format(_REPORT)] + _described(service, "execpath") + ["--output $@"]),
        message = "Writing the report",
        tools = [_REPORT],
        **kwargs
    )
    py_binary(
        name = "report.page",
        srcs = [Label("//rules/report:__main__.py")],
        args = _described(service, "rootpath") + ["--crane=$(rootpath {})".format(_CRANE)],
        data = description + [_CRANE],
        main = Label("//rules/report:__main__.py"),
        deps = [Label("//rules/report:lib")],
        **kwargs
    )
    pushed = [":index", ":provenance", _CRANE]
    options = [
        "--index=$(rootpath :index)",
        "--crane=$(rootpath {})".format(_CRANE),
        "--provenance=$(rootpath :provenance)",
    ]
    for architecture in PLATFORMS:
        files = ["sbom_{}.{}.json".format(architecture, format) for format in ["spdx", "cdx"]]
        options += ["--sbom", architecture] + ["$(rootpath {})".format(file) for file in files]
        pushed += files
    py_binary(
        name = "push",
        srcs = [Label("//rules/publish:__main__.py")],
        args = options,
        data = pushed,
        main = Label("//rules/publish:__main__.py"),
        deps = [Label("//rules/publish:lib")],
        **kwargs
    )
