"""Flags of rules_python that .bazelrc sets."""

def _string_flag(_ctx):
    return []

string_flag = rule(
    implementation = _string_flag,
    build_setting = config.string(flag = True),
    doc = "A flag that changes nothing here.",
)
