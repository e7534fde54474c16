"""The definition of a service: checked, and written as JSON for programs and tests to read."""

load(":providers.bzl", "ServiceInfo")

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"

# A label of DNS (RFC 1123) has 63 characters. "-migrate-" and 12 digits of a digest come after the
# name of a service.
_LONGEST = 63 - len("-migrate-") - 12

def _only(text, characters):
    return all([character in characters for character in text.elems()])

def _name_fault(name):
    if (
        name and len(name) <= _LONGEST and name[0] in _LOWER and not name.endswith("-") and
        _only(name, _LOWER + _DIGITS + "-")
    ):
        return None
    return ("service is {}; expected at most {} lower-case letters, digits and dashes, a letter " +
            "first: Kubernetes objects are called so").format(repr(name), _LONGEST)

def _module_fault(module):
    for part in module.split("."):
        if not part or part[0] in _DIGITS or not _only(part.lower(), _LOWER + _DIGITS + "_"):
            return "module is {}; expected what `python -m` takes, such as backend or examples.hello".format(repr(module))
    return None

def _port_fault(port):
    # Below, the service's user may not listen.
    if 1024 <= port and port <= 65535:
        return None
    return "port is {}; expected 1024 to 65535".format(port)

def _user_fault(user):
    uid, colon, gid = user.partition(":")
    if colon and uid and gid and _only(uid + gid, _DIGITS) and int(uid) and int(gid):
        return None
    return "user is {}; expected UID:GID in digits, neither of them 0".format(repr(user))

def _path_fault(attribute, path):
    if path.startswith("/") and not [character for character in path.elems() if character in " ?#\"'$"]:
        return None
    return "{} is {}; expected a path such as /health/live".format(attribute, repr(path))

def service_fault(service):
    """What is wrong with a definition.

    Args:
      service: a struct of the attributes of `service_rule`.

    Returns:
      A sentence, or None where nothing is.
    """
    paths = [
        _path_fault(name, getattr(service, name))
        for name in ["startup_path", "ready_path", "live_path", "metrics_path"]
    ]
    faults = [
        _name_fault(service.service),
        _module_fault(service.module),
        _port_fault(service.port),
        _user_fault(service.user),
    ] + paths
    faults = [fault for fault in faults if fault]
    return "; ".join(faults) if faults else None

def debs_fault(debs, known):
    """What is wrong with the Debian packages that a service asks for.

    Bazel itself would say that `@@...debian//NAME` has no BUILD file.

    Args:
      debs: what it asks for. `@debian//NAME` is looked at; of other labels, and of a select, Bazel is
        the judge.
      known: names of the packages that the lock has, or should have.

    Returns:
      A sentence, or None where nothing is.
    """
    if type(debs) != "list":
        return None
    names = [
        label.removeprefix("@debian//").partition(":")[0]
        for label in debs
        if type(label) == "string" and label.startswith("@debian//")
    ]
    strangers = sorted({name: None for name in names if name != "groups" and name not in known})
    if not strangers:
        return None
    return ("debs has {labels}, which image/packages.toml does not name. Write {names} there, in a group, " +
            "with a reason, and lock it: `tools/bazel run //rules/debian:update -- {words}`. If a name is " +
            "misspelt, correct it.").format(
        labels = ", ".join(["@debian//" + name for name in strangers]),
        names = ", ".join(strangers),
        words = " ".join(strangers),
    )

def _service_impl(ctx):
    fault = service_fault(ctx.attr)
    if fault:
        fail("{}: {}".format(ctx.label, fault))
    uid, _, gid = ctx.attr.user.partition(":")
    definition = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(definition, json.encode_indent({
        "container": ctx.attr.module.rpartition(".")[2].replace("_", "-").lower().strip("-"),
        "description": ctx.attr.description,
        "entrypoint": ctx.attr.entrypoint,
        "environment": ctx.attr.environment,
        "gid": int(gid),
        "labels": ctx.attr.labels,
        "live_path": ctx.attr.live_path,
        "metrics_path": ctx.attr.metrics_path,
        "module": ctx.attr.module,
        "port": ctx.attr.port,
        "ready_path": ctx.attr.ready_path,
        "service": ctx.attr.service,
        "startup_path": ctx.attr.startup_path,
        "uid": int(uid),
    }, indent = "    ") + "\n")
    return [
        DefaultInfo(files = depset([definition])),
        ServiceInfo(
            name = ctx.attr.service,
            definition = definition,
            module = ctx.attr.module,
            port = ctx.attr.port,
        ),
    ]

service_rule = rule(
    implementation = _service_impl,
    doc = "A service's definition, NAME.json. BUILD files get one from the macro `service_image`.",
    attrs = {
        "description": attr.string(mandatory = True),
        "entrypoint": attr.string_list(mandatory = True),
        "environment": attr.string_dict(mandatory = True),
        "labels": attr.string_dict(mandatory = True),
        "live_path": attr.string(mandatory = True),
        "metrics_path": attr.string(mandatory = True),
        "module": attr.string(mandatory = True),
        "port": attr.int(mandatory = True),
        "ready_path": attr.string(mandatory = True),
        "service": attr.string(mandatory = True),
        "startup_path": attr.string(mandatory = True),
        "user": attr.string(mandatory = True),
    },
)

def repeated(names):
    """Which names more than one service has.

    Args:
      names: the name of each service by its label.

    Returns:
      Sentences.
    """
    labels = {}
    for label, name in names.items():
        labels.setdefault(name, []).append(label)
    return [
        "{} are all called {}: give each a name of its own (attribute `service`)".format(
            " and ".join(sorted(same)),
            name,
        )
        for name, same in sorted(labels.items())
        if len(same) > 1
    ]

def _services_impl(ctx):
    faults = repeated({
        str(target.label): target[ServiceInfo].name
        for target in ctx.attr.services
    })
    if faults:
        fail("{}: {}".format(ctx.label, "; ".join(faults)))
    return [DefaultInfo(files = depset([target[ServiceInfo].definition for target in ctx.attr.services]))]

services = rule(
    implementation = _services_impl,
    doc = "The definitions of all services of a repository, of which no two have one name.",
    attrs = {
        "services": attr.label_list(mandatory = True, providers = [ServiceInfo], doc = "`NAME.service` of each `service_image`"),
    },
)
