"""Fixtures for tests that run an image in containers; `container_test` brings them."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy import definition
from tests.container import bundle, kernel, probe
from tests.container.bundle import SecurityContext
from tests.container.cgroups import Cgroups
from tests.container.limits import LIMITS
from tests.container.main import IDENTITY
from tests.container.namespaces import Identity
from tests.container.runtime import Container, Runtime, Unpacked
from tests.oci import layout
from tests.oci.layout import Image
from tools.dev import complaints

_READY_SECONDS = 60.0


@pytest.fixture(scope="session")
def identity() -> Identity:
    return Identity.loads(os.environ[IDENTITY])


@pytest.fixture(scope="session")
def cgroups(identity: Identity) -> Iterator[Cgroups | None]:
    """Where limits go; an ordinary user has none, and the tests of limits say so."""
    if not identity.root:
        yield None
        return
    with Cgroups(identity.process) as groups:
        yield groups


@pytest.fixture(scope="session")
def limits(cgroups: Cgroups | None) -> Cgroups:
    """Control groups, for tests that are about them."""
    if cgroups is None:
        pytest.fail("limits take control groups, which are root's here. Run as root to test them")
    return cgroups


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in memory that is gone with this mount namespace."""
    folder = tmp_path_factory.mktemp("containers")
    kernel.mount("scratch", str(folder), "tmpfs", data="mode=755,size=2g")
    return folder


@pytest.fixture(scope="session")
def runtime(identity: Identity, cgroups: Cgroups | None, scratch: Path) -> Iterator[Runtime]:
    with Runtime(scratch, owners=identity.root, cgroups=cgroups) as made:
        yield made


@pytest.fixture(autouse=True)
def no_other_complaints(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test during which the service complained of what the test does not expect.

    What it said between two tests is the second one's.
    """
    if "runtime" not in request.fixturenames:
        yield
        return
    runtime: Runtime = request.getfixturevalue("runtime")
    yield
    complaints.none_but(complaints.expected(request.node), runtime.complaints())


@pytest.fixture(scope="session")
def layout_image() -> Image:
    return layout.read(Path(os.environ["IMAGE"]), os.environ.get("PLATFORM"))


@pytest.fixture(scope="session")
def image(runtime: Runtime, layout_image: Image) -> Unpacked:
    return runtime.unpack(layout_image)


@pytest.fixture(scope="session")
def postgres(runtime: Runtime) -> Unpacked:
    return runtime.unpack(layout.read(Path(os.environ["POSTGRES"])))


@pytest.fixture(scope="session")
def context(identity: Identity) -> SecurityContext:
    profile = bundle.seccomp(Path(os.environ["SECCOMP"]))
    # In a user namespace of one id there is no other user to become; tests of identity say so.
    return SecurityContext(seccomp=profile, user="" if identity.root else "0:0")


@pytest.fixture(scope="session")
def service(
    runtime: Runtime,
    image: Unpacked,
    context: SecurityContext,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[Container]:
    """A ready service, as SERVICE defines it. Tests leave it as it is; `test_end.py` ends it."""
    defined = definition.read(Path(os.environ["SERVICE"]))
    url = f"http://127.0.0.1:{defined['port']}{defined['ready_path']}"
    began = time.monotonic()
    container = runtime.start(image, context, name=defined["container"], limits=LIMITS)
    container.until(lambda: probe.status(url) == 200, "ready", _READY_SECONDS)
    record_testsuite_property("seconds_to_ready", f"{time.monotonic() - began:.2f}")
    yield container
    container.remove()
