"""Everything that a service needs around its image, by one macro."""

load("@debian//:packages.bzl", DEBS = "PACKAGES")
load("@rules_oci//oci:defs.bzl", "oci_image", "oci_image_index", "oci_load")
load("@rules_python//python:defs.bzl", "py_binary")
load(":layer.bzl", "layer")
load(":platform_image.bzl", "platform_image")
load(":recipe.bzl", "ARCHITECTURES", "ENVIRONMENT", "EXCLUSIONS", "INTERPRETER", "LAYERS", "PACKAGES", "PLATFORMS", "SHARED", "SOURCES")
load(":repacked.bzl", "repacked")
load(":service.bzl", "debs_fault", "service_rule")
load(":stamp.bzl", "if_stamped", "stamp")
load(":supply_chain.bzl", "supply_chain")

def service_image(
        name,
        library,
        module,
        service,
        description,
        port = 8000,
        user = "65532:65532",
        startup_path = "/health/startup",
        ready_path = "/health/ready",
        live_path = "/health/live",
        metrics_path = "/metrics",
        environment = {},
        debs = [],
        shared = SHARED,
        exclude = [],
        strip = True,
        compression = "gzip",
        licenses = "Apache-2.0",
        labels = {},
        source = "",
        **kwargs):
    """Makes a service's image for both CPUs, and the definition that manifests and tests take.

    A package has one service, for the other targets' names are fixed: `packages`, `app` (layers; and
    `debian`, with `debs`), `NAME.digest`, `NAME_amd64`, `NAME_arm64`, `index`, `index.digest`, `load`,
    `push`, `verify`, `sbom`, `sbom_amd64`, `sbom_arm64`, `provenance`, `scan`,
    `scan_test`, `update`, `report`, `report.page`, `NAME.service`, the definition, and `NAME.origin`, what `--config=release` adds.

    Args:
        name: name of the image.
        library: the py_library that holds the service and, through deps, all that it needs.
        module: what `python -m` runs; the library has it, as MODULE/__main__.py or MODULE.py.
        service: what the service is called: image, Kubernetes objects, Secret, profiles. No other
            service of the repository has the name.
        description: a few words for the image's label.
        port: the port it listens on, 1024 or above. It is told in the variable PORT.
        user: UID:GID that it runs as.
        startup_path: what says that it has started, by HTTP status.
        ready_path: what says that it takes requests.
        live_path: what says that it need not be restarted.
        metrics_path: where Prometheus finds its metrics.
        environment: more variables of the image; settings of a deployment are the manifests'.
        debs: Debian packages besides those of every image, as labels: `@debian//NAME`.
        shared: layers of this repository's files that services have in common, as labels. What lies in
            them stays out of `app`; a service that uses none of it says [].
        exclude: more files of what to leave out, see image/exclusions.toml.
        strip: whether wheels' ELF files lose what no process sees: symbol tables, debug information.
        compression: of the image's layers: `gzip`, which everything reads, or `zstd`, which is smaller and
            which old engines and registries do not take.
        licenses: the service's own licence, an SPDX expression.
        labels: more labels of the image.
        source: URL of the sources, for the label of a release.
        **kwargs: what every rule takes, such as visibility and tags.
    """
    entrypoint = [INTERPRETER, "-m", module]
    taken = [variable for variable in environment if variable in ENVIRONMENT or variable in ["HOST", "PORT", "REVISION"]]
    if taken:
        fail("//{}:{}: environment sets {}, which every image has already, or its release: leave it out".format(
            native.package_name(),
            name,
            ", ".join(taken),
        ))
    fault = debs_fault(debs, DEBS)
    if fault:
        fail("//{}:{}: {}".format(native.package_name(), name, fault))
    variables = ENVIRONMENT | {"HOST": "0.0.0.0", "PORT": str(port)} | environment
    described = {
        "org.opencontainers.image.base.name": "scratch",
        "org.opencontainers.image.description": description,
        "org.opencontainers.image.licenses": licenses,
        "org.opencontainers.image.title": service,
    } | labels

    service_rule(
        name = name + ".service",
        description = description,
        entrypoint = entrypoint,
        environment = variables,
        labels = described,
        live_path = live_path,
        metrics_path = metrics_path,
        module = module,
        port = port,
        ready_path = ready_path,
        service = service,
        startup_path = startup_path,
        user = user,
        **kwargs
    )

    # Ordered by how seldom they change.
    layers = list(LAYERS)
    if debs:
        layer(
            name = "debian",
            debs = debs,
            exclude = [EXCLUSIONS] + exclude,
            **kwargs
        )
        layers.append(":debian")
    layer(
        name = "packages",
        compile = [PACKAGES],
        exclude = [EXCLUSIONS] + exclude,
        packages_path = PACKAGES,
        python = [library],
        strip = strip,
        **kwargs
    )
    layer(
        name = "app",
        below = shared,
        compile = [SOURCES],
        exclude = [EXCLUSIONS] + exclude,
        modules = [module],
        python = [library],
        service = name + ".service",
        sources_path = SOURCES,
        **kwargs
    )
    layers += [":packages"] + shared + [":app"]
    if compression == "zstd":
        layers = [_as_zstd(each, kwargs) for each in layers]
    elif compression != "gzip":
        fail("//{}:{}: expected compression \"gzip\" or \"zstd\", got \"{}\"".format(
            native.package_name(),
            name,
            compression,
        ))
    stamp(
        name = name + ".origin",
        environment = variables,
        labels = described,
        source = source,
        **kwargs
    )
    oci_image(
        name = name,
        architecture = select(ARCHITECTURES),
        created = if_stamped(":{}.origin.created".format(name)),
        entrypoint = entrypoint,
        env = ":{}.origin.environment".format(name),
        exposed_ports = ["{}/tcp".format(port)],
        labels = ":{}.origin.labels".format(name),
        os = "linux",
        tars = layers,
        user = user,
        workdir = SOURCES,
        **kwargs
    )
    for architecture, platform in PLATFORMS.items():
        platform_image(
            name = "{}_{}".format(name, architecture),
            image = ":" + name,
            platform = platform,
            **kwargs
        )
    oci_image_index(
        name = "index",
        annotations = if_stamped(":{}.origin.annotations".format(name)),
        images = [":{}_{}".format(name, architecture) for architecture in PLATFORMS],
        **kwargs
    )
    supply_chain(
        name = name,
        layers = layers,
        service = service,
        **kwargs
    )
    oci_load(
        name = "load",
        image = ":" + name,
        repo_tags = [service + ":latest"],
        **kwargs
    )
    py_binary(
        name = "verify",
        srcs = [Label("//rules/verify:__main__.py")],
        args = [
            "--built=$(rootpath :index)",
            "--crane=$(rootpath {})".format(Label("//rules/diff:crane")),
            "--target=//{}:index".format(native.package_name()),
        ],
        data = [
            ":index",
            Label("//rules/diff:crane"),
        ],
        main = Label("//rules/verify:__main__.py"),
        deps = [Label("//rules/verify:lib")],
        **kwargs
    )

def _as_zstd(layer, options):
    name = "zstd_" + native.package_relative_label(layer).name
    repacked(
        name = name,
        layer = layer,
        **options
    )
    return ":" + name
