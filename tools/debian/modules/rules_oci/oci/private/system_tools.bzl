"""Programs of the builder root, as a repository."""

_TOOLS = {
    "crane": "pushes images",
    "zstd": "unpacks layers",
}

def _system_tools_repository_impl(rctx):
    for tool, purpose in _TOOLS.items():
        path = rctx.which(tool)
        if not path:
            fail("{tool} is not on this machine's PATH; it {purpose}. On Debian: apt-get install {tool}".format(
                purpose = purpose,
                tool = tool,
            ))

        # A copy, because `bazel run` leaves the builder root behind.
        rctx.watch(path)
        result = rctx.execute(["cp", "--dereference", path, tool])
        if result.return_code:
            fail("copying {} failed: {}".format(path, result.stderr))
    rctx.file("BUILD.bazel", 'exports_files({}, visibility = ["//visibility:public"])\n'.format(_TOOLS.keys()))

_system_tools_repository = repository_rule(
    implementation = _system_tools_repository_impl,
    environ = ["PATH"],
    doc = "Copies of the programs that the rules call.",
)

def _system_tools_impl(_mctx):
    _system_tools_repository(name = "oci_system_tools")

system_tools = module_extension(implementation = _system_tools_impl)
