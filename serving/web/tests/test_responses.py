"""Responses whose body is made already."""

from serving.web.responses import json_response


def test_the_body_goes_out_as_it_is() -> None:
    response = json_response(b'{"a": 1}', 201, {"Location": "/a"})
    assert (response.body, response.status_code) == (b'{"a": 1}', 201)
    assert response.headers["content-type"] == "application/json"
    assert (response.headers["location"], response.headers["content-length"]) == ("/a", "8")
