"""The repositories that `pip.parse` makes: one of aliases, and one for each wheel and CPU."""

load(":asked.bzl", "asked_for", "unlocked")

_CONSTRAINTS = {
    "linux_aarch64": ["@platforms//cpu:aarch64", "@platforms//os:linux"],
    "linux_x86_64": ["@platforms//cpu:x86_64", "@platforms//os:linux"],
}

# Every file of the program, so that repositories are made anew when it changes.
_PROGRAM = [
    Label("//wheels:" + name)
    for name in [
        "__main__.py",
        "archive.py",
        "command.py",
        "error.py",
        "index.py",
        "lock.py",
        "metadata.py",
        "preference.py",
        "repository.py",
        "store.py",
        "target.py",
    ]
] + [
    # The adapter lies in the repository that it serves, and shares the reader of the lock with
    # the program that writes it.
    Label("@@//tools/locks:" + name)
    for name in [
        "error.py",
        "wheels.py",
    ]
]

# A slow line may take its time over a large wheel.
_SECONDS = 3600

def _run(ctx, arguments):
    python = ctx.which("python3")
    if not python:
        fail("python3 is not in PATH; wheels are fetched with its pip")
    program = [ctx.path(file) for file in _PROGRAM]
    done = ctx.execute(
        [python, "-I", "-B", program[0]] + arguments,
        timeout = _SECONDS,
    )
    if done.return_code:
        fail("\n" + (done.stderr.strip() or "interrupted"))
    return done.stdout

def _wheel_impl(ctx):
    ctx.report_progress("fetching {} {}".format(ctx.attr.package, ctx.attr.version))
    _run(ctx, [
        "fetch",
        "--python=" + ctx.attr.python_version,
        "--platform=" + ctx.attr.platform,
        "--hub=" + ctx.attr.hub,
        "--name=" + ctx.attr.package,
        "--version=" + ctx.attr.version,
    ] + [
        "--extra=" + extra
        for extra in ctx.attr.extras
    ] + [
        "--sha256=" + value
        for value in ctx.attr.sha256
    ])

_wheel = repository_rule(
    implementation = _wheel_impl,
    attrs = {
        "extras": attr.string_list(doc = "Extras that the lock asks for."),
        "hub": attr.string(doc = "Name of the repository of aliases.", mandatory = True),
        "package": attr.string(doc = "Name, with underscores.", mandatory = True),
        "platform": attr.string(doc = "Such as linux_x86_64.", mandatory = True),
        "python_version": attr.string(doc = "MAJOR.MINOR", mandatory = True),
        "sha256": attr.string_list(doc = "What the wheel's hash may be.", mandatory = True),
        "version": attr.string(mandatory = True),
    },
    doc = "One wheel, unpacked: modules in site-packages, programs in bin.",
)

_LOCK = '''"""What {file} has: for each platform, each package and the extras it asks for."""

LOCK = struct(
    file = "{file}",
    hub = "{hub}",
    packages = {packages},
)
'''

_REQUIREMENTS = '''"""Labels of locked packages."""

_PACKAGES = {packages}

all_requirements = [str(Label("//{{}}:pkg".format(name))) for name in _PACKAGES]

def requirement(name):
    """The label of a package, by its name on the index."""
    normal = "_".join([part for part in name.lower().replace("-", "_").replace(".", "_").split("_") if part])
    if normal not in _PACKAGES:
        fail("{{}} is not in {file}".format(name))
    return str(Label("//{{}}:pkg".format(normal)))
'''

_SETTING = """config_setting(
    name = "{name}",
    constraint_values = {constraints},
    visibility = ["//:__subpackages__"],
)
"""

_ALIAS = """alias(
    name = "{name}",
    actual = select({{
{choices}    }}, no_match_error = "{package}: {file} is for {platforms} only"),
    visibility = ["//visibility:public"],
)
"""

_UNLOCKED_RULE = '''"""What a package is that BUILD files name and the lock has not."""

def _unlocked_impl(ctx):
    fail(ctx.attr.message)

unlocked = rule(
    implementation = _unlocked_impl,
    attrs = {"message": attr.string(mandatory = True)},
    doc = "Fails, but only a build that needs it.",
)
'''

def _hub_impl(ctx):
    lock = json.decode(ctx.attr.lock)
    packages = {}
    for platform, pins in lock.items():
        for name in pins:
            packages.setdefault(name, []).append(platform)
    ctx.file("BUILD.bazel", "\n".join([
        _SETTING.format(name = platform, constraints = _CONSTRAINTS[platform])
        for platform in lock
    ]))
    ctx.file("lock.bzl", _LOCK.format(
        file = ctx.attr.file,
        hub = ctx.attr.hub,
        packages = json.encode_indent({
            platform: {name: pin["extras"] for name, pin in pins.items()}
            for platform, pins in lock.items()
        }, prefix = "    ", indent = "    "),
    ))
    ctx.file("requirements.bzl", _REQUIREMENTS.format(
        file = ctx.attr.file,
        packages = json.encode_indent(packages.keys(), indent = "    "),
    ))
    ctx.file("unlocked.bzl", _UNLOCKED_RULE)
    for name, asking in sorted(asked_for(ctx, ctx.attr.apparent_name).items()):
        if name not in packages:
            ctx.file(
                name + "/BUILD.bazel",
                unlocked(name, asking, ctx.attr.apparent_name, ctx.attr.file),
            )
    for package, available in packages.items():
        aliases = {package: "pkg", "pkg": "pkg", "data": "data", "dist_info": "dist_info"}
        ctx.file(package + "/BUILD.bazel", "\n".join([
            _ALIAS.format(
                name = name,
                choices = "".join([
                    '        "//:{p}": "@{hub}_{p}_{package}//:{target}",\n'.format(
                        p = platform,
                        hub = ctx.attr.hub,
                        package = package,
                        target = target,
                    )
                    for platform in available
                ]),
                package = package,
                file = ctx.attr.file,
                platforms = ", ".join(available),
            )
            for name, target in aliases.items()
        ]))

_hub = repository_rule(
    implementation = _hub_impl,
    attrs = {
        "apparent_name": attr.string(doc = "What BUILD files call this repository.", mandatory = True),
        "file": attr.string(doc = "What errors call the lock.", mandatory = True),
        "hub": attr.string(doc = "This repository's own name.", mandatory = True),
        "lock": attr.string(doc = "JSON: platform, package, pin.", mandatory = True),
    },
    doc = "Aliases: @HUB//NAME is the wheel for the CPU that is built for.",
)

def hubs(ctx):
    """Makes the repositories of every `pip.parse` (an implementation of a module extension).

    Args:
        ctx: the module_ctx.
    """
    seen = {}
    for module in ctx.modules:
        for parse in module.tags.parse:
            if parse.hub_name in seen:
                fail("pip.parse: hub_name {} is taken".format(parse.hub_name))
            seen[parse.hub_name] = parse
    if not seen:
        return

    # One run for all of them: the program takes longer to start than to read.
    arguments = ["list"]
    for parse in seen.values():
        arguments += ["--lock", ctx.path(parse.requirements_lock), _shown(parse), parse.python_version]
        arguments += parse.target_platforms
    for parse, lock in zip(seen.values(), json.decode(_run(ctx, arguments))):
        _declare(parse, lock)

def _shown(parse):
    """What errors call the lock."""
    file = parse.requirements_lock
    return "/".join([part for part in [file.package, file.name] if part])

def _declare(parse, lock):
    _hub(
        name = parse.hub_name,
        # An extension is not told what use_repo() makes of a name: here, what follows the project's.
        apparent_name = parse.hub_name.rpartition("_")[2],
        file = _shown(parse),
        hub = parse.hub_name,
        lock = json.encode(lock),
    )
    for platform, pins in lock.items():
        for name, pin in pins.items():
            _wheel(
                name = "{}_{}_{}".format(parse.hub_name, platform, name),
                extras = pin["extras"],
                hub = parse.hub_name,
                package = name,
                platform = platform,
                python_version = parse.python_version,
                sha256 = pin["sha256"],
                version = pin["version"],
            )

hub = tag_class(
    attrs = {
        "enable_implicit_namespace_pkgs": attr.bool(
            doc = "Whether folders without __init__.py stay so: always, here.",
        ),
        "hub_name": attr.string(
            doc = "Name of the repository of aliases; use_repo() may give it another.",
            mandatory = True,
        ),
        "python_version": attr.string(
            doc = "MAJOR.MINOR of the interpreter that wheels are for.",
            mandatory = True,
        ),
        "requirements_lock": attr.label(
            doc = "NAME==VERSION with hashes, as pip-compile and uv write it.",
            mandatory = True,
        ),
        "target_platforms": attr.string_list(
            doc = "What wheels are for: linux_x86_64, linux_aarch64.",
            mandatory = True,
        ),
    },
    doc = "Makes the wheels of a lock available.",
)
