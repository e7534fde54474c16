"""Reads the groups of packages.toml: tables whose keys are packages and whose values are reasons.

Starlark has no reader of TOML, so the file keeps to a part of it: a table or a `NAME = "REASON"` a
line. What stands before the first table (suites, architectures) is the updater's alone.
"""

def _key(line):
    """The key of a `KEY = "VALUE"` line; None for another one."""
    key, equals, value = line.partition(" = ")
    value = value.strip()
    if not equals or len(value) < 3 or value[0] != '"' or not value.endswith('"'):
        return None
    key = key.strip()
    if key.startswith('"') and key.endswith('"'):
        return key[1:-1]
    return key if key and "." not in key and '"' not in key else None

def read_groups(name, text):
    """Decodes the tables of packages.toml.

    Args:
      name: the file's name, for messages.
      text: what it holds.

    Returns:
      A struct of `groups` (package names by group), or one whose `error` says what is wrong and
      where.
    """
    groups, seen, group = {}, {}, None
    for index, line in enumerate(text.split("\n")):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1]
            fault = "the group {} comes a second time".format(group) if group in groups else None
            groups[group] = []
        elif group == None:
            continue
        else:
            key = _key(line)
            fault = None
            if key == None:
                fault = 'expected NAME = "REASON", a name with a dot in quotes, got ' + line
            elif key in seen:
                fault = "{} stands in line {} already".format(key, seen[key])
            seen[key] = index + 1
            groups[group].append(key)
        if fault:
            return struct(error = "{}:{}: {}.".format(name, index + 1, fault))
    return struct(error = None, groups = {name: sorted(names) for name, names in groups.items()})

def unlocked(groups, architectures):
    """What packages.toml names and the lock lacks.

    Args:
      groups: package names by group.
      architectures: architectures by name of the packages that the lock has.

    Returns:
      Sorted names.
    """
    return sorted({
        name: None
        for names in groups.values()
        for name in names
        if name not in architectures
    })
