"""Tests of what an image holds, read from its layout."""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("//tests/container:defs.bzl", "container_test")
load("//tools/pytest:defs.bzl", "pytest_test")

_LOCK = Label("//:requirements_lock.txt")

def budget(compressed, unpacked):
    """What a layer may take: MB (10**6 bytes) of the blob, MB of the files in it."""
    return [compressed * 1000 * 1000, unpacked * 1000 * 1000]

def image_test(
        name,
        image,
        budgets,
        debian_packages,
        labels,
        programs,
        roots,
        development = [],
        platform = "linux/amd64",
        port = "",
        python_packages = [],
        shells = [],
        entrypoint = [],
        size = "small",
        **kwargs):
    """Tests an image against what it is expected to be.

    Args:
        name: name of the test.
        image: OCI layout of one image, or of an index.
        budgets: by name of the layer, what `budget` returns.
        debian_packages: the Debian packages that scanners find, exactly.
        labels: names of labels that the image has.
        programs: paths of the programs in it, exactly; folders end in a slash.
        roots: folders (with a slash at the end) and files outside of which nothing lies.
        development: Python modules that have no place in an image.
        platform: which image of the layout.
        port: the exposed port, such as "8000/tcp"; the only one.
        python_packages: the Python packages in it, exactly.
        shells: paths that have a shell's name and are none.
        entrypoint: the entry point, exactly.
        size: how long the test may take, as for any test.
        **kwargs: as for pytest_test.
    """
    write_file(
        name = name + "_expected",
        out = name + "_expected.json",
        content = [json.encode_indent(struct(
            budgets = budgets,
            debian_packages = debian_packages,
            development = development,
            entrypoint = entrypoint,
            labels = labels,
            platform = platform,
            port = port,
            programs = programs,
            python_packages = python_packages,
            roots = roots,
            shells = shells,
        ))],
        tags = ["manual"],
        testonly = True,
    )
    pytest_test(
        name = name,
        size = size,
        srcs = ["//tests/structure:test_image.py"],
        data = [image, name + "_expected.json", _LOCK],
        env = {
            "EXPECTED": "$(rootpath {}_expected.json)".format(name),
            "IMAGE": "$(rootpath {})".format(image),
            "LOCK": "$(rootpath {})".format(_LOCK),
        },
        deps = ["//tests/structure:checks"],
        **kwargs
    )

def structure_test(name, image, configs, platform = "", **kwargs):
    """Tests an image by container-structure-test v2 files; commands run in runc.

    Args:
        name: name of the test.
        image: OCI layout of one image, or of an index.
        configs: YAML or JSON files; tests/structure/specification.py says what differs.
        platform: which image of the layout, such as "linux/amd64"; commands take this machine's.
        **kwargs: as for container_test.
    """
    container_test(
        name = name,
        srcs = ["//tests/structure:test_specification.py"],
        image = image,
        data = configs,
        env = {
            "CONFIGS": " ".join(["$(rootpaths {})".format(config) for config in configs]),
        } | ({"PLATFORM": platform} if platform else {}),
        # Commands need neither limits nor the image's own user.
        tags = kwargs.pop("tags", []),
        deps = ["//tests/structure:specification"],
        **kwargs
    )
