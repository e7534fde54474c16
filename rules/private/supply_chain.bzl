"""What goes with an image to those who have to trust it."""

load(":provenance.bzl", "provenance")
load(":recipe.bzl", "PLATFORMS")
load(":sbom.bzl", "sbom")

def supply_chain(name, layers, **kwargs):
    """Makes `sbom_amd64`, `sbom_arm64`, `sbom`, which is both, and `provenance`.

    Args:
        name: name of the image.
        layers: its layers, lowest first.
        **kwargs: what every rule takes, such as visibility and tags.
    """
    for architecture, platform in PLATFORMS.items():
        sbom(
            name = "sbom_" + architecture,
            cyclonedx = "sbom_{}.cdx.json".format(architecture),
            image = ":" + name,
            layers = layers,
            platform = platform,
            service = name + ".service",
            spdx = "sbom_{}.spdx.json".format(architecture),
            **kwargs
        )
    native.filegroup(
        name = "sbom",
        srcs = ["sbom_" + architecture for architecture in PLATFORMS],
        **kwargs
    )
    provenance(
        name = "provenance",
        index = ":index",
        sboms = [":sbom_" + architecture for architecture in PLATFORMS],
        service = name + ".service",
        **kwargs
    )
