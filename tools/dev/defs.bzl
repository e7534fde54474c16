"""A service on a developer's machine, with what it needs beside it."""

load("@rules_python//python:defs.bzl", "py_binary")

_MAIN = Label("//tools/dev:__main__.py")
_LIBRARY = Label("//tools/dev:lib")
_POSTGRES = Label("//image/postgres:tree")

def dev(name, library, service, database = False, ai = False, **kwargs):
    """Runs a service from its sources, and anew when one changes: `tools/bazel run //PACKAGE:NAME`.

    Args:
        name: name of the target.
        library: the py_library of the service.
        service: its definition, `NAME.service` of its `service_image`.
        database: whether it has a database: PostgreSQL is started, and the service's command
            `migrate` is run before it serves.
        ai: whether an AI service is started, which answers with examples.
        **kwargs: as for py_binary.
    """
    py_binary(
        name = name,
        srcs = [_MAIN],
        args = ["--service=$(rootpath {})".format(service)] + (
            ["--postgres=$(rootpath {})".format(_POSTGRES)] if database else []
        ) + (["--ai"] if ai else []),
        data = [service] + ([_POSTGRES] if database else []),
        main = _MAIN,
        deps = [library, _LIBRARY],
        **kwargs
    )
