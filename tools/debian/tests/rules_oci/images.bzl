"""Images whose digests are known from the real rules_oci."""

load("@rules_oci//oci:defs.bzl", "oci_image", "oci_image_index")

_LINUX_AMD64 = {
    "architecture": "amd64",
    "os": "linux",
}

def _folder_impl(ctx):
    output = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run(
        executable = ctx.executable.program,
        arguments = [output.path],
        outputs = [output],
    )
    return [DefaultInfo(files = depset([output]))]

folder = rule(
    implementation = _folder_impl,
    doc = "A folder that a program writes.",
    attrs = {
        "program": attr.label(
            cfg = "exec",
            executable = True,
            mandatory = True,
            doc = "The program; it takes the folder's path.",
        ),
    },
)

def _described_layer_impl(ctx):
    archive = ctx.actions.declare_file(ctx.label.name + ".tar.gz")
    descriptor = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.run(
        executable = ctx.executable.program,
        arguments = [archive.path, descriptor.path],
        outputs = [archive, descriptor],
    )
    return [
        DefaultInfo(files = depset([archive])),
        OutputGroupInfo(oci_descriptor = depset([descriptor])),
    ]

described_layer = rule(
    implementation = _described_layer_impl,
    doc = "A layer that says its own digests; the original does not ask for them.",
    attrs = {
        "program": attr.label(
            cfg = "exec",
            executable = True,
            mandatory = True,
            doc = "The program; it takes the paths of the archive and of the descriptor.",
        ),
    },
)

def _named_platform_impl(_, attr):
    return {"//command_line_option:platforms": [attr.platform]}

_named_platform = transition(
    implementation = _named_platform_impl,
    inputs = [],
    outputs = ["//command_line_option:platforms"],
)

def _forwarded_impl(ctx):
    image = ctx.attr.image[0][DefaultInfo]
    return [DefaultInfo(files = image.files, runfiles = image.default_runfiles)]

forwarded = rule(
    implementation = _forwarded_impl,
    doc = "An image for one platform, handed on by another rule than oci_image.",
    attrs = {
        "image": attr.label(
            cfg = _named_platform,
            mandatory = True,
            doc = "An oci_image.",
        ),
        "platform": attr.label(
            mandatory = True,
            doc = "The platform to build it for.",
        ),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)

IMAGES = [
    "scratch",
    "settings",
    "layers",
    "magic_bytes",
    "arm64",
    "based",
    "based_entrypoint",
    "based_cmd",
    "based_unchanged",
    "environment",
    "files",
    "empty_settings",
    "words",
    "many_labels",
    "twice",
    "created",
    "created_again",
    "service",
    "on_docker",
    "on_docker_unchanged",
    "index",
    "index_annotated",
    "index_annotated_by_file",
    "index_of_docker",
    "index_by_platform",
    "index_of_forwarded",
    "index_of_one",
]

def images():
    """Declares one target for each name in IMAGES."""
    oci_image(
        name = "scratch",
        **_LINUX_AMD64
    )
    oci_image(
        name = "settings",
        annotations = {
            "org.opencontainers.image.title": "settings",
            "example.equation": "a=b=c",
        },
        cmd = ["--port", "8000"],
        created = "created.txt",
        entrypoint = ["/usr/bin/python3", "-m", "backend"],
        env = {
            "PATH": "/usr/local/bin:/usr/bin",
            "EQUATION": "a=b=c",
            "EMPTY": "",
        },
        exposed_ports = ["8000/tcp", "53/udp", "9000"],
        labels = {
            "zebra": "first",
            "org.opencontainers.image.base.name": "scratch",
            "apple": "a=b",
        },
        tars = [":plain.tar"],
        user = "65532:65532",
        volumes = ["/var/lib/data", "/srv"],
        workdir = "/app",
        **_LINUX_AMD64
    )
    oci_image(
        name = "layers",
        tars = [
            ":plain.tar",
            ":gzip.tar.gz",
            ":gzip.tgz",
            ":zstd.tar.zst",
            ":zstd.tzst",
            "source.tar",
        ],
        **_LINUX_AMD64
    )
    oci_image(
        name = "magic_bytes",
        tars = [
            ":gzip.tar",
            ":plain.tar.gz",
            ":zstd.tar",
        ],
        **_LINUX_AMD64
    )
    oci_image(
        name = "arm64",
        architecture = "arm64",
        os = "linux",
        tars = [":zstd.tar.zst"],
        variant = "v8",
    )
    oci_image(
        name = "based",
        annotations = {
            "example.equation": "replaced",
            "example.added": "yes",
        },
        base = ":settings",
        exposed_ports = ["8443/tcp"],
        labels = {
            "apple": "replaced",
            "added": "last",
        },
        tars = [":gzip.tar.gz"],
        volumes = ["/added"],
        workdir = "/srv",
    )
    oci_image(
        name = "based_entrypoint",
        base = ":settings",
        entrypoint = ["/bin/other"],
    )
    oci_image(
        name = "based_cmd",
        base = ":settings",
        cmd = ["--port", "9000"],
    )
    oci_image(
        name = "based_unchanged",
        base = ":settings",
    )
    oci_image(
        name = "environment",
        base = ":settings",
        env = {
            "PATH": "/opt/bin:$PATH",
            "BRACES": "${PATH}!${EMPTY}!",
            "UNKNOWN": "<$NOBODY><${NOBODY}>",
            "DOLLARS": "$$PATH costs 5$ or $",
            "HALF": "${PATH and $PATH}",
            "LATER": "$EQUATION/$BRACES",
            "SELF": "$SELF:set",
            "FRENCH": "café\177 \"quoted\" \\ \t",
        },
        tars = [":plain.tar"],
    )
    oci_image(
        name = "files",
        annotations = "pairs.txt",
        cmd = "words.txt",
        entrypoint = "words.txt",
        env = "pairs.txt",
        exposed_ports = "names.txt",
        labels = "pairs.txt",
        volumes = "names.txt",
        **_LINUX_AMD64
    )
    oci_image(
        name = "empty_settings",
        annotations = {},
        cmd = [],
        entrypoint = [],
        env = {},
        exposed_ports = [],
        labels = {},
        volumes = [],
        **_LINUX_AMD64
    )
    oci_image(
        name = "words",
        cmd = ["", "two\nlines", "%5Cn"],
        entrypoint = ["sh", "-c", "echo $HOME; exec \"$@\""],
        **_LINUX_AMD64
    )
    oci_image(
        name = "many_labels",
        env = {"KEY_{}".format(number): "value" for number in range(20, 0, -1)},
        labels = {"label.{}".format(number): str(number) for number in range(20, 0, -1)},
        **_LINUX_AMD64
    )
    oci_image(
        name = "twice",
        tars = [
            ":plain.tar",
            ":same.tar",
        ],
        **_LINUX_AMD64
    )
    oci_image(
        name = "created",
        created = ":time.txt",
        **_LINUX_AMD64
    )
    oci_image(
        name = "created_again",
        base = ":settings",
        created = ":time.txt",
    )

    # What services have: files by a group, layers that say their digests, the CPU by a select.
    oci_image(
        name = "service",
        architecture = select({
            ":on_aarch64": "arm64",
            "//conditions:default": "amd64",
        }),
        created = select({
            ":on_aarch64": ":time.txt",
            "//conditions:default": None,
        }),
        entrypoint = ["/usr/bin/python3.13", "-m", "backend"],
        env = {"PORT": "8000"},
        exposed_ports = ["8000/tcp"],
        labels = ":service_labels",
        os = "linux",
        tars = [
            ":described_layer",
            ":gzip.tar.gz",
            ":described_layer_again",
        ],
        user = "65532:65532",
        volumes = ["/var/lib/data"],
        workdir = "/app",
    )
    oci_image(
        name = "on_docker",
        base = ":docker_base",
        env = {"PATH": "/opt/bin:$PATH"},
        labels = {"added": "yes"},
        tars = [
            ":plain.tar",
            ":gzip.tar.gz",
            ":zstd.tar.zst",
        ],
    )
    oci_image(
        name = "on_docker_unchanged",
        base = ":docker_base",
    )
    oci_image(
        name = "of_platform",
        architecture = select({
            "@platforms//cpu:aarch64": "arm64",
            "@platforms//cpu:x86_64": "amd64",
        }),
        os = "linux",
        tars = [":plain.tar"],
    )
    oci_image_index(
        name = "index",
        images = [
            ":settings",
            ":arm64",
        ],
    )
    oci_image_index(
        name = "index_annotated",
        annotations = {
            "zebra": "first",
            "example.equation": "a=b=c",
            "org.opencontainers.image.created": "2026-11-24T10:00:00Z",
        },
        images = [
            ":settings",
            ":arm64",
        ],
    )
    oci_image_index(
        name = "index_annotated_by_file",
        annotations = "pairs.txt",
        images = [":scratch"],
    )
    oci_image_index(
        name = "index_of_docker",
        images = [
            ":on_docker",
            ":settings",
        ],
    )
    oci_image_index(
        name = "index_by_platform",
        images = [":of_platform"],
        platforms = [
            ":linux_arm64",
            ":linux_amd64",
        ],
    )
    oci_image_index(
        name = "index_of_forwarded",
        images = [
            ":service_amd64",
            ":service_arm64",
        ],
    )
    oci_image_index(
        name = "index_of_one",
        images = [":scratch"],
    )
