"""Stands in for the extension whose repositories Bazel's own module file takes.

No target here is in Java. The original registers toolchains of 38 JDKs, which every build looks at.
"""

_NAMES = [
    "local_jdk",
    "remote_java_tools",
    "remote_java_tools_darwin_arm64",
    "remote_java_tools_darwin_x86_64",
    "remote_java_tools_linux",
    "remote_java_tools_windows",
]

def _nothing_impl(ctx):
    ctx.file("BUILD.bazel")

_nothing = repository_rule(implementation = _nothing_impl, doc = "An empty repository.")

def _toolchains(_module_ctx):
    for name in _NAMES:
        _nothing(name = name)

toolchains = module_extension(implementation = _toolchains)
