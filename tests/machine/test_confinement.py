"""The service that the tests of any service share is confined by its AppArmor profile.

That nothing it needs is refused while they run, from its start to its end, is for
`nothing_refused.py` to say.
"""

from pathlib import Path

from tests.container.runtime import Container
from tests.machine.fixtures import PROFILES


def test_the_kernel_has_the_profile_and_enforces_it(apparmor: str) -> None:
    assert f"{apparmor} (enforce)" in PROFILES.read_text().splitlines()


def test_every_process_of_the_service_is_confined(service: Container, apparmor: str) -> None:
    labels = {
        Path(f"/proc/{pid}/attr/apparmor/current").read_text().strip("\0\n")
        for pid in service.processes()
    }

    assert labels == {f"{apparmor} (enforce)"}
