"""The module extension that turns lock.json into repositories."""

load("//rules/debian/private:groups.bzl", "read_groups", "unlocked")
load("//rules/debian/private:hub.bzl", "debian_hub", "package_repository")
load("//rules/debian/private:lock.bzl", "read_lock")
load("//rules/debian/private:package.bzl", "debian_package")
load("//rules/debian/private:python.bzl", "debian_python", "debian_python_toolchains")

_lock = tag_class(
    doc = "Makes `@NAME//PACKAGE` for every package of a lock, and `@NAME//groups:GROUP`.",
    attrs = {
        "file": attr.label(mandatory = True, doc = "the lock"),
        "name": attr.string(mandatory = True, doc = "the hub repository's name"),
        "packages": attr.label(mandatory = True, doc = "packages.toml, which the lock was made of: the groups"),
    },
)

_python = tag_class(
    doc = "Makes `@NAME`, Python toolchains out of locked packages.",
    attrs = {
        "groups": attr.string_list(mandatory = True, doc = "groups of packages: interpreter, library and what they link"),
        "hub": attr.string(mandatory = True, doc = "name of the lock to take packages from"),
        "name": attr.string(mandatory = True, doc = "the toolchain repository's name"),
        "python_version": attr.string(mandatory = True, doc = "major and minor version"),
        "unused": attr.string_list(doc = "paths of the packages to leave out"),
    },
)

def _shown(label):
    return "/".join([part for part in [label.package, label.name] if part])

def _checked(result):
    if result.error:
        fail(result.error)
    return result

def _packages(hub, lock, groups, missing, message):
    """Makes a repository a package, and their hub; returns architectures by package name."""
    architectures = {}
    for package in lock.packages:
        architectures.setdefault(package.name, []).append(package.architecture)
        archive = "debian-security" if package.suite.endswith("-security") else "debian"
        debian_package(
            name = package_repository(hub, package.name, package.architecture),
            architecture = package.architecture,
            package = package.name,
            path = package.path,
            sha256 = package.sha256,
            snapshot = lock.snapshots[archive],
            suite = package.suite,
            version = package.version,
        )
    debian_hub(
        name = hub,
        groups = groups,
        hub = hub,
        message = message,
        missing = missing,
        packages = architectures,
    )
    return architectures

def _lock_of(module_ctx, tag):
    """Makes the repositories of one lock; returns its groups and what the lock has."""
    lock = _checked(read_lock(_shown(tag.file), module_ctx.read(tag.file)))
    groups = _checked(read_groups(_shown(tag.packages), module_ctx.read(tag.packages))).groups
    missing = unlocked(groups, {package.name: None for package in lock.packages})

    # Only a build that needs one of them fails: the program that locks them has to be built.
    message = "{} names {}, which {} lacks. Lock it: `tools/bazel run //rules/debian:update -- {}`.".format(
        _shown(tag.packages),
        ", ".join(missing),
        _shown(tag.file),
        " ".join(missing),
    )
    return struct(
        architectures = _packages(tag.name, lock, groups, missing, message),
        groups = groups,
    )

def _pythons(tag, lock):
    """Makes a Python for each CPU that a lock has."""
    unknown = [group for group in tag.groups if group not in lock.groups]
    if unknown:
        fail("debian.python: {} has no groups {}; it has {}".format(
            tag.hub,
            ", ".join(unknown),
            ", ".join(sorted(lock.groups)),
        ))
    repositories = {}
    for architecture in ["amd64", "arm64"]:
        repository = "{}_{}".format(tag.name, architecture)
        repositories[architecture] = repository
        debian_python(
            name = repository,
            architecture = architecture,
            debs = [
                "@{}//:package.deb".format(package_repository(
                    tag.hub,
                    name,
                    architecture if architecture in lock.architectures[name] else "all",
                ))
                for group in tag.groups
                for name in lock.groups[group]
                if name in lock.architectures
            ],
            python_version = tag.python_version,
            unused = tag.unused,
        )
    debian_python_toolchains(name = tag.name, repositories = repositories)

def _debian_impl(module_ctx):
    locks = {}
    for module in module_ctx.modules:
        for tag in module.tags.lock:
            locks[tag.name] = _lock_of(module_ctx, tag)
        for tag in module.tags.python:
            if tag.hub not in locks:
                fail("debian.python: no debian.lock is named " + tag.hub)
            _pythons(tag, locks[tag.hub])
    return module_ctx.extension_metadata(reproducible = True)

debian = module_extension(
    implementation = _debian_impl,
    tag_classes = {
        "lock": _lock,
        "python": _python,
    },
)
