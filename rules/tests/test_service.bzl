"""Tests of what is said of a wrong definition of a service."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//rules/private:service.bzl", "debs_fault", "repeated", "service_fault")

_GOOD = {
    "live_path": "/health/live",
    "metrics_path": "/metrics",
    "module": "examples.hello",
    "port": 8000,
    "ready_path": "/health/ready",
    "service": "hello-2",
    "startup_path": "/health/startup",
    "user": "65532:65532",
}

def _fault(**changes):
    return service_fault(struct(**(_GOOD | changes)))

def _good_definition_has_no_fault_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, None, _fault())
    asserts.equals(env, None, _fault(port = 1024, service = "a" * 42))
    return unittest.end(env)

good_definition_has_no_fault_test = unittest.make(_good_definition_has_no_fault_impl)

def _each_fault_says_what_was_expected_and_what_came_impl(ctx):
    env = unittest.begin(ctx)
    for attribute, values, message in [
        ("service", ["", "Todo", "-a", "a-", "1a", "a_b", "a" * 43], "expected at most 42 lower-case letters"),
        ("port", [0, 80, 1023, 65536, -1], "expected 1024 to 65535"),
        ("user", ["", "65532", "0:65532", "65532:0", "nobody:nogroup", ":", "1:2:3"], "expected UID:GID in digits"),
        ("module", ["", "a-b", "a..b", "1a", "a/b"], "expected what `python -m` takes"),
        ("live_path", ["", "health", "/a b", "/a?b", "/${x}"], "expected a path such as /health/live"),
    ]:
        for value in values:
            fault = _fault(**{attribute: value}) or ""
            asserts.true(env, message in fault, "{} = {}: {}".format(attribute, repr(value), fault))
            asserts.true(env, "{} is {}".format(attribute, repr(value)) in fault, fault)
    return unittest.end(env)

each_fault_says_what_was_expected_and_what_came_test = unittest.make(_each_fault_says_what_was_expected_and_what_came_impl)

def _every_fault_is_told_at_once_impl(ctx):
    env = unittest.begin(ctx)
    fault = _fault(port = 80, user = "root")
    asserts.true(env, "port is 80" in fault and "user is \"root\"" in fault, fault)
    return unittest.end(env)

every_fault_is_told_at_once_test = unittest.make(_every_fault_is_told_at_once_impl)

def _two_services_of_one_name_are_both_named_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, [], repeated({"//a:image.service": "a", "//b:image.service": "b"}))
    faults = repeated({"//b:image.service": "a", "//a:image.service": "a", "//c:image.service": "c"})
    asserts.equals(env, 1, len(faults))
    asserts.true(env, faults[0].startswith("//a:image.service and //b:image.service are all called a: "), faults[0])
    return unittest.end(env)

two_services_of_one_name_are_both_named_test = unittest.make(_two_services_of_one_name_are_both_named_impl)

def _a_debian_package_that_nobody_named_is_told_of_impl(ctx):
    env = unittest.begin(ctx)
    known = ["tzdata", "libbz2-1.0"]
    fault = debs_fault(["@debian//new", "@debian//tzdata", "@debian//newer:newer", ":z"], known) or ""
    asserts.true(env, fault.startswith("debs has @debian//new, @debian//newer, which image/packages.toml "), fault)
    asserts.true(env, "`tools/bazel run //rules/debian:update -- new newer`" in fault, fault)
    asserts.equals(env, None, debs_fault(["@debian//libbz2-1.0", "@debian//groups:base", "@other//x", "//:y"], known))
    asserts.equals(env, None, debs_fault(select({"//conditions:default": ["@debian//new"]}), known))
    return unittest.end(env)

a_debian_package_that_nobody_named_is_told_of_test = unittest.make(_a_debian_package_that_nobody_named_is_told_of_impl)

def service_tests(name):
    """Makes the tests.

    Args:
      name: name of the suite.
    """
    unittest.suite(
        name,
        good_definition_has_no_fault_test,
        each_fault_says_what_was_expected_and_what_came_test,
        every_fault_is_told_at_once_test,
        two_services_of_one_name_are_both_named_test,
        a_debian_package_that_nobody_named_is_told_of_test,
    )
