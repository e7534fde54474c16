"""kubectl, as a repository."""

def _kubectl_repository_impl(rctx):
    path = rctx.which("kubectl")
    if not path:
        fail("kubectl is not on this machine's PATH; it renders deploy/kubernetes. On Debian: " +
             "apt-get install kubernetes-client. Or run Bazel as BAZEL_FROM=debian tools/bazel, " +
             "which brings it")
    rctx.watch(path)
    rctx.symlink(path, "kubectl")
    rctx.file("BUILD.bazel", 'exports_files(["kubectl"], visibility = ["//visibility:public"])\n')

_kubectl_repository = repository_rule(
    implementation = _kubectl_repository_impl,
    doc = "A link to the machine's kubectl; in Debian mode that of the builder root.",
    environ = ["PATH"],
)

def _deploy_impl(_mctx):
    _kubectl_repository(name = "kubectl")

deploy = module_extension(implementation = _deploy_impl)
