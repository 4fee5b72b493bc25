"""Deliveries: how many, how soon, and what those to one dead endpoint cost the others."""

from collections import defaultdict
from pathlib import Path
from statistics import median

from bench.bare import post_all
from bench.celery_rival import rival
from bench.events import store_of
from bench.lists import serving
from bench.load import percentile
from bench.receivers import Receivers
from bench.table import Row
from bench.webhooks import webhooks

RECEIVERS = 10
EVENTS = 400
# Celery takes long, and its rate does not depend on how many tasks there are.
CELERY_EVENTS = 100
ROUNDS = 5
LATENCY_SECONDS = 20


async def deliveries(folder: Path) -> list[Row]:
    """How many a second, against whoever keeps nothing and against Celery, in turns."""
    rates: dict[str, list[float]] = defaultdict(list)
    async with (
        Receivers(["answers"] * RECEIVERS) as receivers,
        serving(folder) as server,
        store_of(server) as db,
        rival(folder) as celery,
    ):
        ordered = await webhooks(server, db, receivers.urls)
        at_will = await webhooks(server, db, receivers.urls, ordered=False)
        for round_ in range(ROUNDS + 1):
            events = EVENTS if round_ else EVENTS // 10
            ours = await ordered.deliver(events, receivers)
            unordered = await at_will.deliver(events, receivers)
            posts = ordered.posts(events)
            bare = await post_all(posts)
            some = posts[: CELERY_EVENTS * RECEIVERS]
            theirs = await celery.deliver_all(some)
            for report in await receivers.report():
                assert report.requests == (len(posts) + len(some)) / RECEIVERS
            if round_:  # the first is to warm up
                rates["ours"].append(len(posts) / ours)
                rates["unordered"].append(len(posts) / unordered)
                rates["bare"].append(len(posts) / bare)
                rates["theirs"].append(len(some) / theirs)
        per_second = median(rates["ours"])
        soon = await ordered.first_bytes(receivers, RECEIVERS, per_second / 4 / RECEIVERS, LATENCY_SECONDS)
    p99 = percentile(soon, 0.99) * 1000
    title = f"deliveries to {RECEIVERS} receivers"
    return [
        _rate(title, rates, "ours", "bare", "by the bare HTTP client", 0.4),
        _rate("the same", rates, "ours", "theirs", "by Celery and Redis", 1.5),
        _rate("the same, in no order", rates, "unordered", "ours", "in order", None),
        Row(f"event to first byte at {per_second / 4:,.0f}/s", f"p99 {p99:.0f} ms", "", "", "p99 < 100 ms", p99 < 100),
    ]


def _rate(what: str, rates: dict[str, list[float]], ours: str, base: str, by: str, least: float | None) -> Row:
    """The middle one of the rounds' ratios, and the least and the most of them."""
    shares = sorted(mine / theirs for mine, theirs in zip(rates[ours], rates[base], strict=True))
    middle = median(shares)
    return Row(
        what,
        f"{median(rates[ours]):,.0f}/s",
        f"{median(rates[base]):,.0f}/s {by}",
        f"{middle:.2f} ({shares[0]:.2f} to {shares[-1]:.2f})",
        "" if least is None else f">= {least}",
        None if least is None else middle >= least,
    )
