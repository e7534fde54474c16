"""Tests of what is taken out of a mirror's URI."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//rules/debian/private:login.bzl", "split_login")

def _uri_without_a_login_stays_impl(ctx):
    env = unittest.begin(ctx)
    for uri in ["http://mirror/debian", "https://mirror:8443/a@b/debian", "file:/mirror"]:
        asserts.equals(env, struct(uri = uri, auth = None), split_login(uri))
    return unittest.end(env)

uri_without_a_login_stays_test = unittest.make(_uri_without_a_login_stays_impl)

def _login_is_for_the_download_and_not_for_errors_impl(ctx):
    env = unittest.begin(ctx)
    for login, name, password in [
        ("me:secret", "me", "secret"),
        ("me:se%2Fcr%40%3aet%25", "me", "se/cr@:et%"),
        ("me", "me", ""),
        ("me:100%", "me", "100%"),
        ("me:%zz%e9", "me", "%zz%e9"),
    ]:
        found = split_login("https://{}@mirror:8443/debian".format(login))
        asserts.equals(env, "https://mirror:8443/debian", found.uri)
        asserts.equals(env, {"type": "basic", "login": name, "password": password}, found.auth)
    return unittest.end(env)

login_is_for_the_download_and_not_for_errors_test = unittest.make(_login_is_for_the_download_and_not_for_errors_impl)

def login_tests(name):
    """Makes the tests.

    Args:
      name: name of the suite.
    """
    unittest.suite(
        name,
        uri_without_a_login_stays_test,
        login_is_for_the_download_and_not_for_errors_test,
    )
