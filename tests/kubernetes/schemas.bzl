"""The schemas of Kubernetes that tests read, out of a wheel that has those of many versions."""

load("@rules_python//python:py_info.bzl", "PyInfo")

# Each sandbox would be given 17,000 files: every version since 1.25, and each twice.
_LEFT_OUT = ["-local/"] + ["/v1.{}.".format(minor) for minor in range(25, 35)]

def _schemas_impl(ctx):
    wheel = ctx.attr.wheel
    files = [
        file
        for file in wheel[DefaultInfo].default_runfiles.files.to_list()
        if not [part for part in _LEFT_OUT if part in file.path]
    ]
    return [
        DefaultInfo(files = wheel[DefaultInfo].files, runfiles = ctx.runfiles(files)),
        wheel[PyInfo],
    ]

schemas = rule(
    implementation = _schemas_impl,
    attrs = {
        "wheel": attr.label(
            doc = "The library of kubernetes-validate.",
            mandatory = True,
            providers = [PyInfo],
        ),
    },
    doc = "A library of the wheel with the strict schemas of the newest versions, and no others.",
)
