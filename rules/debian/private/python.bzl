"""A relocatable Python for building and testing, out of the .debs that go into images."""

_LOADERS = {
    "amd64": "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "arm64": "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1",
}
_CPUS = {"amd64": "x86_64", "arm64": "aarch64"}

# What Java calls the CPUs.
_HOSTS = {"amd64": ["amd64", "x86_64"], "arm64": ["aarch64"]}

# The program's own loader makes it independent of the host's C library. As argv[0] goes in what
# was called, so that children started by sys.executable, and virtual environments, come through
# here too.
_WRAPPER = """\
#!/bin/sh
root="${{0%/*}}/../.."
[ -e "$root/{loader}" ] || root="$(dirname "$(readlink -f "$0")")/../.."
exec "$root/{loader}" --argv0 "$0" --library-path "$root/{libraries}" "$root/usr/bin/python{version}" "$@"
"""

_BUILD = """\
load("@rules_python//python:py_exec_tools_toolchain.bzl", "py_exec_tools_toolchain")
load("@rules_python//python:py_runtime.bzl", "py_runtime")
load("@rules_python//python:py_runtime_pair.bzl", "py_runtime_pair")

package(default_visibility = ["//visibility:public"])

py_runtime(
    name = "runtime",
    files = glob(
        [
            "usr/bin/python{version}",
            "usr/lib/*-linux-gnu/*.so*",
            "usr/lib/python{major}{minor}.zip",
            "usr/lib/python{version}/**",
        ],
        allow_empty = True,
        exclude = ["**/__pycache__/**"],
    ),
    interpreter = "usr/bin/python3",
    interpreter_version_info = {{
        "major": "{major}",
        "minor": "{minor}",
    }},
    python_version = "PY3",
)

py_runtime_pair(
    name = "runtimes",
    py3_runtime = ":runtime",
)

py_exec_tools_toolchain(
    name = "exec_tools",
)
"""

_TOOLCHAINS = """\
toolchain(
    name = "{cpu}",
    target_compatible_with = [
        "@platforms//cpu:{cpu}",
        "@platforms//os:linux",
    ],
    toolchain = "@{repository}//:runtimes",
    toolchain_type = "@rules_python//python:toolchain_type",
)

toolchain(
    name = "{cpu}_exec_tools",
    exec_compatible_with = [
        "@platforms//cpu:{cpu}",
        "@platforms//os:linux",
    ],
    toolchain = "@{repository}//:exec_tools",
    toolchain_type = "@rules_python//python:exec_tools_toolchain_type",
)
"""

def _pack(ctx, version):
    """Packs the standard library; library.py says why."""
    if ctx.os.name != "linux" or ctx.os.arch not in _HOSTS[ctx.attr.architecture]:
        # The interpreter does not run here, where Bazel only sends it to others that run it.
        return
    library = "usr/lib/python" + version
    archive = "usr/lib/python{}.zip".format(version.replace(".", ""))

    # Byte-code left among the interpreter's files would name this machine's folders, and no cache
    # would serve another clone.
    result = ctx.execute(["usr/bin/python3", "-I", "-B", ctx.path(ctx.attr._library), library, archive])
    if result.return_code:
        fail("packing the standard library failed:\n" + result.stdout + result.stderr)

def _debian_python_impl(ctx):
    for deb in ctx.attr.debs:
        ctx.extract(deb, "deb")
        data = [entry for entry in ctx.path("deb").readdir() if entry.basename.startswith("data.tar")]
        ctx.extract(data[0], "")
        ctx.delete("deb")
    version = ctx.attr.python_version
    loader = _LOADERS[ctx.attr.architecture]
    for unused in ctx.attr.unused:
        ctx.delete(unused)
    ctx.file(
        "usr/bin/python3",
        _WRAPPER.format(loader = loader, libraries = loader.rpartition("/")[0], version = version),
    )
    _pack(ctx, version)
    major, _, minor = version.partition(".")
    ctx.file("BUILD.bazel", _BUILD.format(version = version, major = major, minor = minor))

debian_python = repository_rule(
    implementation = _debian_python_impl,
    attrs = {
        "architecture": attr.string(mandatory = True, values = _CPUS.keys(), doc = "Debian's name of the CPU"),
        "debs": attr.label_list(mandatory = True, allow_files = [".deb"], doc = "interpreter, library and what they link"),
        "python_version": attr.string(mandatory = True, doc = "major and minor version"),
        "unused": attr.string_list(doc = "paths to leave out"),
        "_library": attr.label(default = "//rules/debian/private:library.py"),
    },
)

def _debian_python_toolchains_impl(ctx):
    ctx.file("BUILD.bazel", "\n".join([
        _TOOLCHAINS.format(cpu = _CPUS[architecture], repository = repository)
        for architecture, repository in sorted(ctx.attr.repositories.items())
    ]))

debian_python_toolchains = repository_rule(
    implementation = _debian_python_toolchains_impl,
    attrs = {
        "repositories": attr.string_dict(mandatory = True, doc = "`debian_python` repositories by architecture"),
    },
)
