"""A project whose events are told to receivers by webhooks, and how soon that is done."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg import sql

from bench.bare import Post
from bench.events import Happenings, happenings
from bench.receivers import KEY, Receivers, Report
from bench.rows import database
from tests.story.support import Server, eventually
from tieline.store.database import Database

# Looking costs the database something; when it was done stands in the rows.
_BETWEEN_LOOKS = 0.25


@dataclass
class Webhooks:
    """One for each of `urls`, of which the first are those of the receivers that are watched."""

    server: Server = field(repr=False)
    what: Happenings
    urls: Sequence[str]

    async def deliver(self, events: int, receivers: Receivers) -> float:
        """Seconds from the commit of events until every delivery is recorded; each must have been received once."""
        before = self._last_delivery()
        began = await self.what.happen_often(events)
        await self._recorded(before, events * len(self.urls))
        for report in await receivers.report():
            assert report.requests == len(report.first_byte) == events, (report.requests, len(report.first_byte))
        return self._last_record(before) - began

    async def first_bytes(self, receivers: Receivers, watched: int, per_second: float, seconds: float) -> list[float]:
        """Seconds from when an event was due until its first byte was at each of the first `watched` receivers."""
        await receivers.report()
        due = await self.what.happen_steadily(per_second, seconds)
        seen: list[dict[str, float]] = [{} for _ in range(watched)]

        async def all_there() -> bool:
            for times, report in zip(seen, await receivers.report(), strict=False):
                times.update(first_bytes_by_cause(report))
            return all(due.keys() <= times.keys() for times in seen)

        await eventually(all_there, what="the deliveries")
        return [times[cause] - moment for times in seen for cause, moment in due.items()]

    def posts(self, events: int) -> list[Post]:
        """What was delivered last, for others to deliver."""
        query = "select cause_id, body from message where project_id = %s order by id desc limit %s"
        with database(self.server) as connection:
            rows = connection.execute(query, [self.what.project_id, events]).fetchall()
        bodies = [(cause, body) for cause, body in rows if isinstance(body, bytes)]
        return [Post(url, f"msg_{cause}", body) for cause, body in bodies for url in self.urls]

    async def _recorded(self, before: int, count: int) -> None:
        query = sql.SQL("select count(*) from delivery where id > %s and state = 'delivered'")

        async def all_of_them() -> bool:
            await asyncio.sleep(_BETWEEN_LOOKS)
            return self._number(query, before) == count

        await eventually(all_of_them, seconds=300, what="the deliveries")

    def _last_delivery(self) -> int:
        return int(self._number(sql.SQL("select coalesce(max(id), %s) from delivery"), 0))

    def _last_record(self, before: int) -> float:
        return self._number(
            sql.SQL("select extract(epoch from max(finished_at))::float from delivery where id > %s"), before
        )

    def _number(self, query: sql.SQL, value: int) -> float:
        with database(self.server) as connection:
            row = connection.execute(query, [value]).fetchone()
        assert row is not None
        assert isinstance(row[0], int | float)
        return row[0]


def first_bytes_by_cause(report: Report) -> dict[str, float]:
    """By the activity that it tells of, when the first byte of a message came. Its id is `msg_<activity>_...`."""
    return {name.split("_")[1]: at for name, at in report.first_byte.items()}


async def webhooks(server: Server, db: Database, urls: Sequence[str], *, ordered: bool = True) -> Webhooks:
    """A project with a webhook for each URL."""
    created = await server.call("POST", "/projects", {"title": "Bench"}, expect=201)
    project = created["_embedded"]["entity"]["id"]
    for url in urls:
        body = {"type": "webhook", "url": url, "shared_key": KEY, "ordered": ordered}
        await server.call("POST", f"/projects/{project}/integrations", body, expect=201)
    return Webhooks(server, await happenings(server, db, project), urls)
