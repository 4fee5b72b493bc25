"""The simulator as a program: `tieline simulate bitbucket`."""

import asyncio
import signal
from pathlib import Path
from typing import Final

from tieline.simulators.bitbucket.simulator import BitbucketSimulator

CONSUMER_KEY: Final = "sample-key"
CONSUMER_SECRET: Final = "sample-secret"  # noqa: S105 - it opens nothing but this simulator
SAMPLE: Final = "acme/site"


async def fill(simulator: BitbucketSimulator) -> None:
    """A sample: one repository with `main`, two branches, and a pull request of one of them."""
    simulator.add_consumer(CONSUMER_KEY, CONSUMER_SECRET)
    simulator.create_repository(SAMPLE)
    await simulator.commit(SAMPLE, "main", {"index.html": page("main", "Welcome to the site")}, "Start the site")
    for branch, text in (("feature/search", "Now with a search"), ("redesign", "All new, all blue")):
        await simulator.commit(SAMPLE, branch, {"index.html": page(branch, text)}, f"{text}.", parent="main")
    await simulator.open_pull(SAMPLE, source="feature/search", target="main", title="Add a search")


def page(branch: str, text: str) -> str:
    """A web page that says which branch it is from."""
    return f"<!doctype html>\n<title>{branch}</title>\n<h1>{text}</h1>\n<p>This is the branch {branch}.</p>\n"


async def _serve(host: str, port: int, folder: Path) -> None:
    simulator = BitbucketSimulator(folder, host=host, port=port)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with simulator:
        await fill(simulator)
        print(describe(simulator), flush=True)  # noqa: T201 - a program speaks to its terminal
        await stop.wait()


def describe(simulator: BitbucketSimulator) -> str:
    """How to use it."""
    token = f"curl -su {CONSUMER_KEY}:{CONSUMER_SECRET} -d grant_type=client_credentials {simulator.oauth_url}"
    root = simulator.url.replace("://", "://x-token-auth:$TOKEN@")
    pulls = f"{simulator.api_url}/repositories/{SAMPLE}/pullrequests"
    return f"""Bitbucket Cloud, simulated, at {simulator.url}

Point Tieline at it:
  export TIELINE_BITBUCKET_API={simulator.api_url}
  export TIELINE_BITBUCKET_OAUTH={simulator.oauth_url}
  export TIELINE_EGRESS_ALLOW=127.0.0.0/8
and connect the repository {SAMPLE} with the consumer {CONSUMER_KEY} / {CONSUMER_SECRET}.

Be its developer:
  TOKEN=$({token} | python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])')
  git clone {root}/{SAMPLE}.git
Open a pull request, and merge it:
  curl -H "Authorization: Bearer $TOKEN" {pulls} -H 'Content-Type: application/json' \\
    -d '{{"title": "Mine", "source": {{"branch": {{"name": "redesign"}}}}}}'
  curl -H "Authorization: Bearer $TOKEN" -X POST {pulls}/1/merge
"""


def run(listen: str, folder: Path) -> None:
    """Serve a sample repository at `address:port` until a signal comes."""
    host, _, port = listen.rpartition(":")
    asyncio.run(_serve(host, int(port), folder))
