"""A new version replaces the old one, replica by replica, and no client notices."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backend.tests.image.container.balancer import Balancer
from backend.tests.image.container.load import TODOS, Load, missing
from backend.tests.image.container.stack import Replica, Stack, log_lines

REQUESTS = 10_000
STOP_SECONDS = 30.0
LOAD_SECONDS = 300.0
HOSTS = ("127.0.3.1", "127.0.3.2")
EVER = datetime.fromtimestamp(0, UTC)
# No request lasts so long, and no balancer has noticed so soon.
NOTICED = timedelta(seconds=1)


def served(replica: Replica, after: datetime = EVER) -> int:
    """How many of the todos' requests a replica has answered after a moment."""
    return sum(
        str(line["route"]).startswith(TODOS) and datetime.fromisoformat(str(line["time"])) > after
        for line in log_lines(replica.container)
        if line["logger"] == "access"
    )


def test_a_rolling_restart_fails_no_request(stack: Stack, tmp_path: Path) -> None:
    migrated = stack.run("migrate")
    assert migrated.exit_code == 0, migrated.log
    first = [stack.replica(host=host, patient=True) for host in HOSTS]
    for replica in first:
        replica.until_ready()
    second, codes, told = [], [], []
    with Balancer(tmp_path, [replica.url for replica in first]) as balancer:
        with Load([balancer], clients=6) as load:
            load.until(REQUESTS // 20, LOAD_SECONDS)
            for replica, host in zip(first, HOSTS, strict=True):
                told.append(datetime.now(UTC))
                replica.container.signal(signal.SIGTERM)
                codes.append(replica.container.wait(STOP_SECONDS))
                # The old one is gone, and the other is all there is until the new one is ready.
                with load.calm():
                    second.append(stack.replica(host=host, patient=True))
                    second[-1].until_ready()
                # As a rolling update does, it waits until the new one has its share.
                load.until(REQUESTS // 5, LOAD_SECONDS)
            load.until(max(REQUESTS - load.requests, 1), LOAD_SECONDS)
        log = balancer.log

    assert codes == [0, 0]
    # Not every balancer sends a refused request elsewhere: each needs time to notice.
    late = [served(one, when + NOTICED) for one, when in zip(first, told, strict=True)]
    assert min(late) > 0, f"requests served later than {NOTICED} after SIGTERM: {late}"
    assert load.wrong == [], log
    assert set(load.statuses) == {200, 201}, (load.statuses, log)
    assert load.requests >= REQUESTS
    assert missing(load, second[0]) == []
    # Each of the four was in rotation for a while: the restarts happened under the load.
    assert all(served(replica) > REQUESTS // 50 for replica in [*first, *second])
    assert sum(map(served, [*first, *second])) >= REQUESTS
    for replica in second:
        replica.container.remove()
