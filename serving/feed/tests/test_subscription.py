"""One consumer's place in the feed."""

import asyncio

import pytest

from serving.feed.subscription import Subscription


async def test_messages_come_in_the_order_they_were_offered() -> None:
    one = Subscription(10, after=0)
    one.offer(1, "a")
    one.offer(2, "b")
    assert [await one.next(), await one.next()] == ["a", "b"]
    assert one.after == 2


async def test_what_the_consumer_has_seen_is_not_offered_again() -> None:
    one = Subscription(10, after=5)
    for number in (4, 5, 6):
        one.offer(number, str(number))
    assert await one.next() == "6"


async def test_what_was_seen_meanwhile_is_passed_over() -> None:
    one = Subscription(10, after=0)
    one.offer(1, "a")
    one.offer(2, "b")
    one.after = 1
    assert await one.next() == "b"


async def test_a_consumer_waits_for_the_next_message() -> None:
    one = Subscription(10, after=0)
    waiting = asyncio.create_task(one.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    one.offer(1, "a")
    assert await waiting == "a"


async def test_a_consumer_that_lags_too_far_gets_nothing_more() -> None:
    one = Subscription(2, after=0)
    for number in (1, 2, 3):
        one.offer(number, str(number))
    assert (one.overflowed, one.closing) == (True, False)
    assert await one.next() is None
    async with asyncio.timeout(1):
        await one.ended()


async def test_closing_wakes_a_consumer_that_waits() -> None:
    one = Subscription(2, after=0)
    waiting = asyncio.gather(one.next(), one.ended())
    await asyncio.sleep(0)
    one.close()
    async with asyncio.timeout(1):
        assert (await waiting)[0] is None
    assert (one.overflowed, one.closing) == (False, True)


async def test_closing_does_not_send_what_is_queued() -> None:
    one = Subscription(2, after=0)
    one.offer(1, "a")
    one.close()
    assert await one.next() is None


async def test_a_subscription_that_goes_on_has_not_ended() -> None:
    one = Subscription(2, after=0)
    one.offer(1, "a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await one.ended()


async def test_room_is_what_is_left_of_the_queue() -> None:
    subscription = Subscription(2, 0)
    subscription.offer(1, "one")
    assert subscription.room == 1

    await subscription.next()

    assert subscription.room == 2


async def test_who_takes_nothing_more_needs_no_room() -> None:
    subscription = Subscription(1, 0)
    subscription.offer(1, "one")
    assert subscription.room == 0

    subscription.offer(2, "two")

    assert subscription.overflowed
    assert subscription.room == 1
