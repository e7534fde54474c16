"""The targets of a wheel's repository."""

load(":bytecode.bzl", "byte_code", "compiled")

def _missing(ctx):
    fail(ctx.attr.message)

_missing_requirement = rule(
    implementation = _missing,
    attrs = {"message": attr.string(mandatory = True)},
    doc = "Fails, but only a build that needs it.",
)

def wheel_library(name, package, version, sha256, platform, deps, extras, lock):
    """Makes the wheel's library, `data` and `dist_info`, and a library for each extra that may be asked for.

    Args:
        name: name of the library: pkg.
        package: name of the package, with underscores.
        version: its version.
        sha256: hash of the wheel, in hexadecimal, for aspects to see.
        platform: the platform that the wheel is for.
        deps: for each package that it needs, the extras of that package it needs.
        extras: for each of its extras that the lock does not ask for, what that extra needs besides.
        lock: what the lock has, as in lock.bzl of the hub.
    """
    native.filegroup(
        name = "data",
        srcs = native.glob(
            ["bin/**", "data/**", "include/**"],
            allow_empty = True,
        ),
        visibility = ["//visibility:public"],
    )
    native.filegroup(
        name = "dist_info",
        srcs = native.glob(["site-packages/*.dist-info/**"]),
        visibility = ["//visibility:public"],
    )

    modules = native.glob(
        ["site-packages/**/*.py"],
        allow_empty = True,
    )
    compiled(
        name = "compiled",
        srcs = modules,
    )
    byte_code(
        name = "byte_code",
        compiled = ":compiled",
        # An image's is made anew, with its own paths: rules see by this what it is.
        tags = ["byte-code"],
    )

    tags = [
        "pypi_name=" + package,
        "pypi_sha256=" + sha256,
        "pypi_version=" + version,
    ]

    # Two targets, each with the tags, as in rules_python 2.3.2: rules have to see that it is one wheel.
    # Bazel 7 has it built in.
    # buildifier: disable=native-py
    native.py_library(
        name = "srcs",
        srcs = modules,
        data = [
            ":byte_code",
            ":data",
        ] + native.glob(
            ["site-packages/**"],
            exclude = ["**/*.py", "**/*.pyc"],
        ),
        imports = ["site-packages"],
        tags = tags,
    )

    # Bazel 7 has it built in.
    # buildifier: disable=native-py
    native.py_library(
        name = name,
        srcs = [":srcs"] if modules else [],
        tags = tags,
        visibility = ["//visibility:public"],
        deps = [":srcs"] + _libraries(package, version, platform, deps, lock),
    )
    for extra, more in extras.items():
        # Bazel 7 has it built in.
        # buildifier: disable=native-py
        native.py_library(
            name = "extra_" + extra,
            tags = ["manual"],
            visibility = ["//visibility:public"],
            deps = _libraries("%s[%s]" % (package, extra), version, platform, more, lock),
        )

def _libraries(package, version, platform, deps, lock):
    locked = lock.packages[platform]
    labels = []
    for name, extras in deps.items():
        if name in locked:
            library = "@{}_{}_{}//:".format(lock.hub, platform, name)
            labels.append(library + "pkg")
            labels += [library + "extra_" + extra for extra in extras if extra not in locked[name]]
            continue
        missing = "{} without {}".format(package, name)
        _missing_requirement(
            name = missing,
            message = ("{} {} needs {} on {}, which {} lacks. " +
                       "Lock it: `tools/bazel run //:requirements.update`.").format(
                package,
                version,
                name,
                platform,
                lock.file,
            ),
            tags = ["manual"],
        )
        labels.append(":" + missing)
    return labels
