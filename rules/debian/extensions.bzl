"""The module extension that turns lock.json into repositories."""

load("//rules/debian/private:hub.bzl", "debian_hub", "package_repository")
load("//rules/debian/private:lock.bzl", "read_lock")
load("//rules/debian/private:package.bzl", "debian_package")
load("//rules/debian/private:python.bzl", "debian_python", "debian_python_toolchains")

_lock = tag_class(
    doc = "Makes `@NAME//PACKAGE` for every package of a lock.",
    attrs = {
        "file": attr.label(mandatory = True, doc = "the lock"),
        "name": attr.string(mandatory = True, doc = "the hub repository's name"),
    },
)

_python = tag_class(
    doc = "Makes `@NAME`, Python toolchains out of locked packages.",
    attrs = {
        "hub": attr.string(mandatory = True, doc = "name of the lock to take packages from"),
        "name": attr.string(mandatory = True, doc = "the toolchain repository's name"),
        "packages": attr.string_list(mandatory = True, doc = "interpreter, library and what they link"),
        "python_version": attr.string(mandatory = True, doc = "major and minor version"),
        "unused": attr.string_list(doc = "paths of the packages to leave out"),
    },
)

def _packages(hub, lock):
    """Makes a repository a package; returns architectures by package name."""
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
    debian_hub(name = hub, hub = hub, packages = architectures)
    return architectures

def _pythons(tag, architectures):
    """Makes a Python for each CPU that a lock has."""
    missing = [name for name in tag.packages if name not in architectures]
    if missing:
        fail("debian.python: not in the lock: " + ", ".join(missing))
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
                    architecture if architecture in architectures[name] else "all",
                ))
                for name in tag.packages
            ],
            python_version = tag.python_version,
            unused = tag.unused,
        )
    debian_python_toolchains(name = tag.name, repositories = repositories)

def _debian_impl(module_ctx):
    locks = {}
    for module in module_ctx.modules:
        for tag in module.tags.lock:
            lock = read_lock(str(tag.file.package) + "/" + tag.file.name, module_ctx.read(tag.file))
            if lock.error:
                fail(lock.error)
            locks[tag.name] = _packages(tag.name, lock)
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
