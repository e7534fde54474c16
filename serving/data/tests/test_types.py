"""Moments come back as they went in, on both databases."""

from datetime import UTC, datetime, timedelta, timezone

from sqlalchemy import Column, MetaData, Table, insert, select

from serving.data.database import Database
from serving.data.types import Moment
from serving.tests.service import settings_for

times = Table("times", MetaData(), Column("at", Moment))


async def test_a_moment_is_kept_as_aware_utc(database_url: str) -> None:
    database = Database(settings_for(database_url), name="test")
    noon = datetime(2030, 6, 1, 12, 30, 0, 123456, tzinfo=UTC)
    elsewhere = noon.astimezone(timezone(timedelta(hours=5, minutes=45)))
    async with database.write() as connection:
        await connection.run_sync(times.create)
        await connection.execute(insert(times), [{"at": elsewhere}, {"at": None}])
        found = (
            await connection.scalars(select(times.c.at).order_by(times.c.at.nulls_last()))
        ).all()
        before = await connection.scalar(
            select(times.c.at).where(times.c.at < noon + timedelta(microseconds=1))
        )
    await database.close()
    assert found == [noon, None]
    assert before == noon
    assert before.utcoffset() == timedelta(0)
