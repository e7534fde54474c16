"""`@debian//NAME`: a locked package for the CPU that is built for; `@debian//groups:GROUP`: several."""

_GROUP = """
filegroup(
    name = {name},
    srcs = {packages},
)
"""

_UNLOCKED = """\
load("//:unlocked.bzl", "unlocked")

unlocked(
    name = {name},
    message = {message},
    tags = ["manual"],
    visibility = ["//visibility:public"],
)
"""

_UNLOCKED_RULE = '''"""What a package is that packages.toml names and the lock has not."""

def _unlocked_impl(ctx):
    fail(ctx.attr.message)

unlocked = rule(
    implementation = _unlocked_impl,
    attrs = {"message": attr.string(mandatory = True)},
    doc = "Fails, but only a build that needs it.",
)
'''

_PACKAGES = '''"""What can be asked for: what the lock has, and what it should have."""

PACKAGES = {}
'''

_CPUS = {"amd64": "x86_64", "arm64": "aarch64"}

def package_repository(hub, name, architecture):
    """The name of the repository that holds one package.

    Args:
      hub: the hub's name.
      name: Debian's name of the package.
      architecture: all, amd64 or arm64.

    Returns:
      The repository's name; "+" is not allowed in one.
    """
    return "{}_{}_{}".format(hub, architecture, name.replace("+", "p"))

def _debian_hub_impl(ctx):
    for name, architectures in sorted(ctx.attr.packages.items()):
        labels = {
            architecture: "@{}//:package.deb".format(package_repository(ctx.attr.hub, name, architecture))
            for architecture in architectures
        }
        if "all" in labels:
            actual = repr(labels["all"])
        else:
            branches = {"@platforms//cpu:" + _CPUS[key]: label for key, label in labels.items()}
            actual = "select({})".format(repr(branches))
        ctx.file(name + "/BUILD.bazel", """\
package(default_visibility = ["//visibility:public"])

alias(
    name = {name},
    actual = {actual},
)
""".format(name = repr(name), actual = actual))
    ctx.file("unlocked.bzl", _UNLOCKED_RULE)
    for name in ctx.attr.missing:
        ctx.file(name + "/BUILD.bazel", _UNLOCKED.format(name = repr(name), message = repr(ctx.attr.message)))
    ctx.file("groups/BUILD.bazel", "package(default_visibility = [\"//visibility:public\"])\n" + "".join([
        _GROUP.format(name = repr(group), packages = json.encode_indent(
            ["//" + name for name in names],
            prefix = "    ",
            indent = "    ",
        ))
        for group, names in sorted(ctx.attr.groups.items())
    ]))
    ctx.file("BUILD.bazel", "")
    ctx.file("packages.bzl", _PACKAGES.format(json.encode_indent(
        sorted(ctx.attr.packages.keys() + ctx.attr.missing),
        prefix = "",
        indent = "    ",
    )))

debian_hub = repository_rule(
    implementation = _debian_hub_impl,
    attrs = {
        "groups": attr.string_list_dict(doc = "package names by group"),
        "hub": attr.string(mandatory = True, doc = "the hub's name, a part of its packages' repositories' names"),
        "message": attr.string(doc = "what a build says that needs a package of `missing`"),
        "missing": attr.string_list(doc = "packages that the groups name and the lock lacks"),
        "packages": attr.string_list_dict(mandatory = True, doc = "architectures by package name"),
    },
)
