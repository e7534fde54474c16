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
        service = None,
        shells = [],
        entrypoint = [],
        size = "medium",
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
        port: the exposed port, such as "8000/tcp"; the only one. A service's definition says it.
        python_packages: the Python packages in it, exactly.
        service: the image's service (`NAME.service`), whose definition says entry point, port,
            user, labels and variables.
        shells: paths that have a shell's name and are none.
        entrypoint: the entry point, exactly. A service's definition says it.
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
        data = [image, name + "_expected.json", _LOCK] + ([service] if service else []),
        env = {
            "EXPECTED": "$(rootpath {}_expected.json)".format(name),
            "IMAGE": "$(rootpath {})".format(image),
            "LOCK": "$(rootpath {})".format(_LOCK),
        } | ({"SERVICE": "$(rootpath {})".format(service)} if service else {}),
        deps = ["//tests/structure:checks"],
        **kwargs
    )

# What every service's image has, for one CPU and the other. Whoever adds to it says so here: this is
# the list that image/packages.toml is held against.

BASE_PACKAGES = [
    "base-files",
    "ca-certificates",
    "gcc-14-base",
    "libbz2-1.0",
    "libc6",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    "libpython3.13-minimal",
    "libpython3.13-stdlib",
    "libsqlite3-0",
    "libssl3t64",
    "libstdc++6",
    "libuuid1",
    "libzstd1",
    "media-types",
    "netbase",
    "python3.13-minimal",
    "tzdata",
    "zlib1g",
]

DEVELOPMENT = [
    "_pytest",
    "hypothesis",
    "iniconfig",
    "jsonschema",
    "kubernetes_validate",
    "mypy",
    "mypyc",
    "pluggy",
    "pytest",
    "ruff",
    "schemathesis",
    "setuptools",
    "uv",
    "wheel",
    "yaml",
]

LABELS = [
    "org.opencontainers.image.base.name",
    "org.opencontainers.image.description",
    "org.opencontainers.image.licenses",
    "org.opencontainers.image.title",
]

ROOTS = [
    "/app/",
    "/bin",
    "/etc/",
    "/lib",
    "/lib64",
    "/sbin",
    "/tmp",
    "/usr/",
    "/var/lib/dpkg/status.d/",
]

# Room for Debian's updates, a tenth or so.
BASE_BUDGETS = {
    "base": budget(
        compressed = 8,
        unpacked = 21,
    ),
    "python": budget(
        compressed = 11,
        unpacked = 31,
    ),
}

# What services have in common of this repository's own.
SHARED_BUDGETS = {
    "serving": budget(
        compressed = 1,
        unpacked = 1,
    ),
}

def service_image_test(
        name,
        image,
        service,
        python_packages,
        packages_budget,
        app_budget = budget(compressed = 1, unpacked = 2),
        debian_packages = [],
        budgets = {},
        shared_budgets = SHARED_BUDGETS,
        **kwargs):
    """Tests the image that `service_image` makes: its definition, the common layers, its own.

    Args:
        name: name of the test.
        image: OCI layout of one image, or of an index.
        service: the definition, `NAME.service`.
        python_packages: the Python packages in it, exactly.
        packages_budget: what the wheels may take, as `budget` returns it.
        app_budget: what the service's own files may take.
        debian_packages: Debian packages besides those of every image (attribute `debs`), exactly.
        budgets: more budgets; of `debian`, with such packages.
        shared_budgets: budgets of the layers that `shared` of `service_image` lists.
        **kwargs: as for image_test.
    """
    image_test(
        name = name,
        budgets = BASE_BUDGETS | shared_budgets | {"app": app_budget, "packages": packages_budget} | budgets,
        debian_packages = BASE_PACKAGES + debian_packages,
        development = DEVELOPMENT,
        image = image,
        labels = LABELS,
        programs = ["/usr/bin/python3.13"],
        python_packages = python_packages,
        roots = ROOTS,
        service = service,
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
