"""One locked Debian package as a repository."""

load(":login.bzl", "sources")

_UPDATE = "tools/bazel run //image:update"

def _lines(ctx, command):
    """The lines that a host program prints; none where it is missing or fails."""
    if not ctx.which(command[0]):
        return []
    result = ctx.execute(command, environment = {"LC_ALL": "C"})
    return result.stdout.splitlines() if result.return_code == 0 else []

def _mirrors(ctx, archive):
    """Base URIs to try for an archive: the person's mirrors, then the snapshot archive."""
    security = archive == "debian-security"
    chosen = ctx.os.environ.get("DEBIAN_SECURITY_MIRRORS" if security else "DEBIAN_MIRRORS", "")
    uris = [uri for uri in chosen.split(" ") if uri]
    if not uris:
        # Asking what apt would update needs no lists, no lock and no network.
        for line in _lines(ctx, ["apt-get", "update", "--print-uris"]):
            uri, dists, rest = line.removeprefix("'").partition("/dists/")
            suite, release, _ = rest.partition("/InRelease'")
            if dists and release and suite.endswith("-security") == security:
                uris.append(uri)

    # apt 2.7.11 and later know where the snapshot archive is.
    setting = "Override::Label::Debian-Security" if security else "Origin::Debian"
    templates = _lines(ctx, ["apt-config", "dump", "--format", "%v%n", "Acquire::Snapshots::URI::" + setting])
    uris += [template.replace("@SNAPSHOTID@", ctx.attr.snapshot) for template in templates if template]
    unique = {uri.removesuffix("/"): None for uri in uris}
    return [uri for uri in unique if uri.startswith(("http://", "https://", "file:/"))]

def _debian_package_impl(ctx):
    archive = "debian-security" if ctx.attr.suite.endswith("-security") else "debian"
    title = "{} {} ({})".format(ctx.attr.package, ctx.attr.version, ctx.attr.architecture)
    mirrors = _mirrors(ctx, archive)

    # Without a mirror it can still be in Bazel's repository cache, from a bundle say.
    found = sources(mirrors or ["file:/no-mirror-is-known"], ctx.attr.path)
    got = ctx.download(found.urls, "package.deb", sha256 = ctx.attr.sha256, allow_fail = True, auth = found.auth)
    if not got.success and not mirrors:
        fail("""{}: no mirror of the {} archive is known.
Name some in {}=URI (spaces between), or in apt's sources.""".format(
            title,
            archive,
            "DEBIAN_SECURITY_MIRRORS" if archive == "debian-security" else "DEBIAN_MIRRORS",
        ))
    if not got.success:
        _explain(ctx, title, found)
    ctx.file("BUILD.bazel", 'exports_files(["package.deb"])\n')

def _hash(ctx, url, known):
    """The sha256 of what a source has now; None where it has nothing."""
    if not url.startswith("http://"):
        got = ctx.download(url, "other.deb", allow_fail = True, auth = known.auth)
        ctx.delete("other.deb")
        return got.sha256 if got.success else None

    # Bazel downloads nothing over plain http without knowing its hash; apt does.
    helper = ctx.path("/usr/lib/apt/apt-helper")
    if not helper.exists or ctx.execute([helper, "download-file", known.with_login.get(url, url), "other.deb"]).return_code:
        return None
    sums = _lines(ctx, ["sha256sum", "other.deb"])
    ctx.delete("other.deb")
    return sums[0].split(" ")[0] if sums else None

def _cached(ctx):
    """The file's copy in Bazel's repository cache, at its usual place; None where there is none.

    Bazel passes over one that is not what its name says, without a word.
    """
    place = ctx.path(".").dirname.dirname.dirname
    for name in ["cache", "repos", "v1", "content_addressable", "sha256", ctx.attr.sha256, "file"]:
        place = place.get_child(name)
    return place if place.exists else None

def _explain(ctx, title, known):
    """Fails with the reason why no source gave the locked file."""
    for url in known.urls:
        found = _hash(ctx, url, known)
        if found and found != ctx.attr.sha256:
            fail("""{}: wrong sha256.
expected {}
got      {}
from     {}
The mirror is broken or has been tampered with, or the lock was edited by hand. If the archive
itself changed, `{}` locks what it has now.""".format(title, ctx.attr.sha256, found, url, _UPDATE))
    broken = _cached(ctx)
    if broken:
        fail("""{}: the copy in Bazel's repository cache is broken (its sha256 is
not {}), and no mirror gave another. Remove it and go on with a network:
  {}
Tried:
  {}""".format(title, ctx.attr.sha256, broken, "\n  ".join(known.urls)))
    fail("""{}: no mirror has it. Tried:
  {}
Debian drops a version from its mirrors when a newer one comes. `{}` locks
the newer one; the snapshot archive keeps the old one (DEBIAN_MIRRORS or DEBIAN_SECURITY_MIRRORS
may name it). If no mirror answers at all, name one there, or a proxy in http_proxy.""".format(
        title,
        "\n  ".join(known.urls),
        _UPDATE,
    ))

debian_package = repository_rule(
    implementation = _debian_package_impl,
    doc = "Downloads one .deb, `//:package.deb`, and checks its sha256.",
    attrs = {
        "architecture": attr.string(mandatory = True, doc = "all, amd64 or arm64"),
        "package": attr.string(mandatory = True, doc = "Debian's name of the package"),
        "path": attr.string(mandatory = True, doc = "place below the archive's base URI"),
        "sha256": attr.string(mandatory = True, doc = "hash of the .deb, in hexadecimal"),
        "snapshot": attr.string(mandatory = True, doc = "time at which the snapshot archive has it"),
        "suite": attr.string(mandatory = True, doc = "suite it was found in, such as trixie-security"),
        "version": attr.string(mandatory = True, doc = "Debian's version"),
    },
    environ = ["DEBIAN_MIRRORS", "DEBIAN_SECURITY_MIRRORS"],
)
