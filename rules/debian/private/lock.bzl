"""Reads lock.json, saying file and line where a hand has spoilt it."""

_FIELDS = ["architecture", "name", "path", "sha256", "size", "suite", "version"]
_HEX = "0123456789abcdef"

def _fault(entry):
    """What is wrong with one package's entry; None where nothing is."""
    if type(entry) != "dict" or sorted(entry.keys()) != _FIELDS:
        return "expected the fields " + ", ".join(_FIELDS)
    for field in _FIELDS:
        kind = "int" if field == "size" else "string"
        if type(entry[field]) != kind or not entry[field]:
            return "{} is {}; expected a {}".format(field, repr(entry[field]), kind)
    if len(entry["sha256"]) != 64 or entry["sha256"].strip(_HEX):
        return "sha256 is {}; expected 64 hexadecimal digits".format(repr(entry["sha256"]))
    if entry["architecture"] not in ["all", "amd64", "arm64"]:
        return "architecture is {}; expected all, amd64 or arm64".format(repr(entry["architecture"]))
    if not entry["path"].startswith("pool/") or ".." in entry["path"] or not entry["path"].endswith(".deb"):
        return "path is {}; expected a .deb below pool/".format(repr(entry["path"]))
    return None

def read_lock(name, text):
    """Decodes a lock.

    Args:
      name: the file's name, for messages.
      text: what it holds.

    Returns:
      A struct of `snapshots` (archive name to timestamp) and `packages` (structs with the fields
      of one .deb), or one whose `error` says what is wrong and where.
    """

    # What makes it anew is built of what it locks, and so needs one that can be read.
    advice = "Mend it, or take it from a commit: `git checkout HEAD -- {}`, then `tools/bazel run //image:update`.".format(name)
    seen = {}
    for index, line in enumerate(text.split("\n")):
        line = line.strip()
        if not line.startswith("{\"") or not line.endswith(("}", "},")):
            continue
        entry = json.decode(line.removesuffix(","), default = None)
        fault = "not JSON" if entry == None else _fault(entry)
        if not fault:
            key = (entry["name"], entry["architecture"])
            if key in seen:
                fault = "{} ({}) stands in line {} already".format(key[0], key[1], seen[key])
            seen[key] = index + 1
        if fault:
            return struct(error = "{}:{}: {}. {}".format(name, index + 1, fault, advice))
    lock = json.decode(text, default = None)
    if type(lock) != "dict" or sorted(lock.keys()) != ["packages", "snapshots"]:
        return struct(error = "{}:1: expected a JSON object of snapshots and packages. {}".format(name, advice))
    if len(lock["packages"]) != len(seen):
        return struct(error = "{}:3: expected one package a line. {}".format(name, advice))
    return struct(
        error = None,
        snapshots = lock["snapshots"],
        packages = [struct(**entry) for entry in lock["packages"]],
    )
