"""Repositories for checks: the sources of the workspace, buildifier, and AsyncAPI's schema."""

_BUILD = """\
package(default_visibility = ["//visibility:public"])

exports_files(["pyproject.toml"])

filegroup(
    name = "python",
    srcs = glob(["**/*.py"]),
)

filegroup(
    name = "shell",
    srcs = glob(["**/*.shell"]),
)

filegroup(
    name = "all",
    srcs = glob(["**/*.*"]),
)

filegroup(
    name = "rooms",
    srcs = glob(["*/mutation.toml"]),
)

filegroup(
    name = "starlark",
    srcs = glob(["**/*.starlark"]),
)
"""

_HIDDEN = [".ci"]
_OTHERS = ["__pycache__", "node_modules"]
_STARLARK = ["BUILD", "BUILD.bazel", "MODULE.bazel"]

# More levels than a repository has; Starlark knows no loop without an end.
_DEPTH = 64

def _ours(entry):
    name = entry.basename
    return (name in _HIDDEN or not name.startswith(".")) and name not in _OTHERS

def _suffix(ctx, entry):
    """What a file's name gets, so that none is a BUILD file here; None for a file of no interest."""
    name = entry.basename
    if name.endswith((".json", ".md", ".py", ".svg", ".toml", ".yaml")):
        return ""
    if name in _STARLARK or name.endswith(".bzl"):
        return ".starlark"
    if name.endswith(".sh"):
        return ".shell"
    if "." not in name:
        first = ctx.read(entry, watch = "no").partition("\n")[0]
        if first.startswith("#!") and (first.endswith("sh")):
            return ".shell"
    return None

def _workspace_sources_impl(ctx):
    root = ctx.workspace_root
    ctx.file("BUILD.bazel", _BUILD)
    folders = [root]
    for _ in range(_DEPTH):
        deeper = []
        for folder in folders:
            # Not those below: Bazel 7 fails ("Inconsistent filesystem operations") where a folder
            # whose entries it watches is deleted, as by one who puts a service in another's place.
            for entry in folder.readdir(watch = "yes" if folder == root else "no"):
                if not _ours(entry) or entry.realpath != entry:
                    continue
                if entry.basename == "BUILD.bazel":
                    ctx.watch(entry)
                if entry.is_dir:
                    # A virtual environment that a developer keeps in the workspace.
                    if not entry.get_child("pyvenv.cfg").exists:
                        deeper.append(entry)
                    continue
                suffix = _suffix(ctx, entry)
                if suffix != None:
                    ctx.symlink(entry, str(entry).removeprefix(str(root) + "/") + suffix)
        folders = deeper
        if not folders:
            return
    fail("{}: folders more than {} deep".format(root, _DEPTH))

# A glob ends at the next package's BUILD file; a list of packages would be forgotten when one is
# added. Bazel makes the repository anew when the workspace gains or loses an entry at its top, when a
# BUILD file changes, and when its server starts.
_workspace_sources = repository_rule(
    implementation = _workspace_sources_impl,
    doc = "Links to every file of the workspace that is Python, Starlark, shell, data or text, at the paths " +
          "they have there: a test can take all of a language as input.",
    local = True,
)

_REGISTRY = ["NPM_CONFIG_REGISTRY", "npm_config_registry"]
_CPUS = {
    "aarch64": "arm64",
    "amd64": "amd64",
    "x86_64": "amd64",
}

def _registry(ctx):
    """The npm registry that this machine is configured with; None where there is none."""
    for name in _REGISTRY:
        chosen = ctx.getenv(name)
        if chosen:
            return chosen
    npm = ctx.which("npm")
    if npm:
        done = ctx.execute([npm, "config", "get", "registry"])
        if done.return_code == 0 and done.stdout.startswith("http"):
            return done.stdout.strip()
    return None

def _buildifier_impl(ctx):
    ctx.file("BUILD.bazel", 'exports_files(["buildifier"], visibility = ["//visibility:public"])\n')
    registry = _registry(ctx)
    cpu = _CPUS.get(ctx.os.arch)
    if not registry or ctx.os.name != "linux" or not cpu:
        # Only the tests that run it fail, and say why.
        reason = "buildifier is an npm package here, and this machine knows no npm registry: name " + \
                 "one in NPM_CONFIG_REGISTRY=URL, or with `npm config set registry URL`"
        if ctx.os.name != "linux" or not cpu:
            reason = "buildifier is locked for Linux on amd64 and arm64 only"
        ctx.file("buildifier", "#!/bin/sh\necho '{}' >&2\nexit 3\n".format(reason), executable = True)
        return
    url = "{}/@bazel/buildifier/-/buildifier-{}.tgz".format(registry.removesuffix("/"), ctx.attr.version)
    got = ctx.download_and_extract(
        url,
        "package",
        allow_fail = True,
        sha256 = ctx.attr.sha256,
        stripPrefix = "package",
    )
    if not got.success:
        fail(("buildifier {}: the npm registry did not give the locked file {}.\nName another one " +
              "in NPM_CONFIG_REGISTRY=URL, a proxy in https_proxy.").format(ctx.attr.version, url))
    ctx.execute(["mv", "package/buildifier-linux_" + cpu, "buildifier"])
    ctx.delete("package")

_buildifier = repository_rule(
    implementation = _buildifier_impl,
    attrs = {
        "sha256": attr.string(mandatory = True, doc = "hash of the package, in hexadecimal"),
        "version": attr.string(mandatory = True, doc = "version of the package"),
    },
    doc = "The program buildifier, out of its npm package.",
    environ = _REGISTRY,
)

def _asyncapi_impl(ctx):
    ctx.file("BUILD.bazel", 'exports_files(["schema.json"], visibility = ["//visibility:public"])\n')
    registry = _registry(ctx)
    if not registry:
        # Only the test that reads it fails, and says why.
        reason = "AsyncAPI's schema is an npm package here, and this machine knows no npm registry: " + \
                 "name one in NPM_CONFIG_REGISTRY=URL, or with `npm config set registry URL`"
        ctx.file("schema.json", json.encode({"not": {}, "description": reason}))
        return
    url = "{}/@asyncapi/specs/-/specs-{}.tgz".format(registry.removesuffix("/"), ctx.attr.version)
    got = ctx.download_and_extract(
        url,
        "package",
        allow_fail = True,
        sha256 = ctx.attr.sha256,
        stripPrefix = "package",
    )
    if not got.success:
        fail(("AsyncAPI's schema {}: the npm registry did not give the locked file {}.\nName another " +
              "one in NPM_CONFIG_REGISTRY=URL, a proxy in https_proxy.").format(ctx.attr.version, url))
    ctx.execute(["mv", "package/schemas/3.0.0-without-$id.json", "schema.json"])
    ctx.delete("package")

_asyncapi = repository_rule(
    implementation = _asyncapi_impl,
    attrs = {
        "sha256": attr.string(mandatory = True, doc = "hash of the package, in hexadecimal"),
        "version": attr.string(mandatory = True, doc = "version of the package"),
    },
    doc = "The JSON schema of AsyncAPI 3.0 documents, out of its npm package.",
    environ = _REGISTRY,
)

def _lint_impl(ctx):
    for module in ctx.modules:
        for tag in module.tags.buildifier:
            _buildifier(name = "buildifier", sha256 = tag.sha256, version = tag.version)
        for tag in module.tags.asyncapi:
            _asyncapi(name = "asyncapi", sha256 = tag.sha256, version = tag.version)
    _workspace_sources(name = "workspace_sources")

lint = module_extension(
    implementation = _lint_impl,
    tag_classes = {
        "asyncapi": tag_class(
            attrs = {
                "sha256": attr.string(mandatory = True, doc = "hash of the npm package"),
                "version": attr.string(mandatory = True, doc = "version of the npm package"),
            },
            doc = "Locks the JSON schemas of AsyncAPI documents.",
        ),
        "buildifier": tag_class(
            attrs = {
                "sha256": attr.string(mandatory = True, doc = "hash of the npm package"),
                "version": attr.string(mandatory = True, doc = "version of the npm package"),
            },
            doc = "Locks buildifier, which carries programs for both CPUs.",
        ),
    },
)
