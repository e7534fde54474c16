"""Tests of what goes with an image, whatever service it is of."""

load("//tools/pytest:defs.bzl", "pytest_test")

_LOCKS = [
    Label("//:requirements_lock.txt"),
    Label("//image:lock.json"),
]

def supply_chain_test(name, package, size = "large", **kwargs):
    """Holds an image's SBOMs and its provenance against the formats, the image and the locks.

    Args:
        name: name of the test.
        package: the package that has the image, such as //image.
        size: the formats' own validators take a while.
        **kwargs: as for pytest_test.
    """
    index = package + ":index"
    provenance = package + ":provenance"
    files = {
        "{}_{}".format(format, cpu.upper()): "{}:sbom_{}.{}.json".format(package, cpu, extension)
        for cpu in ["amd64", "arm64"]
        for format, extension in [("SPDX", "spdx"), ("CYCLONEDX", "cdx")]
    }
    pytest_test(
        name = name,
        size = size,
        srcs = [
            "//tests/supply_chain:test_provenance.py",
            "//tests/supply_chain:test_sbom.py",
        ],
        data = [index, provenance] + files.values() + _LOCKS,
        env = {
            "DEBIAN_LOCK": "$(rootpath {})".format(_LOCKS[1]),
            "IMAGE": "$(rootpath {})".format(index),
            "PROVENANCE": "$(rootpath {})".format(provenance),
            "WHEEL_LOCK": "$(rootpath {})".format(_LOCKS[0]),
        } | {variable: "$(rootpath {})".format(file) for variable, file in files.items()},
        deps = [
            "//tests/oci:layout",
            "//tools/locks:wheels",
            "@pypi//cyclonedx_python_lib",
            "@pypi//jsonschema",
            "@pypi//ntia_conformance_checker",
            "@pypi//packageurl_python",
            "@pypi//spdx_tools",
        ],
        **kwargs
    )
