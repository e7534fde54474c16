"""Serves the site of the documentation on this machine, until Ctrl-C."""

import contextlib
import functools
import http.server
import sys

# The service itself has 8000.
HOST, PORT = "127.0.0.1", 8001


def main(arguments: list[str]) -> int:
    """Serves the folder that the arguments name, then the port if there is one."""
    folder, port = arguments[0], int(arguments[1]) if arguments[1:] else PORT
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    try:
        server = http.server.ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        print(f"port {port}: {error.strerror}. Name another: tools/bazel run //docs:serve -- PORT",
              file=sys.stderr)  # fmt: skip
        return 1
    print(f"http://{HOST}:{server.server_address[1]}", flush=True)
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
