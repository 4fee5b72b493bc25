"""The simulator as a program: `tieline simulate bitbucket`."""

import asyncio
import signal
from pathlib import Path
from typing import Final

from tieline.simulators.bitbucket.simulator import BitbucketSimulator

CONSUMER_KEY: Final = "sample-key"
CONSUMER_SECRET: Final = "sample-secret"  # noqa: S105 - it opens nothing but this simulator
ACCESS_TOKEN: Final = "sample-token"  # noqa: S105 - as little
SAMPLE: Final = "acme/site"


async def fill(simulator: BitbucketSimulator) -> None:
    """A sample: one repository with `main`, two branches, and a pull request of one of them."""
    simulator.add_consumer(CONSUMER_KEY, CONSUMER_SECRET)
    simulator.add_access_token(ACCESS_TOKEN)
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
    """How to use it. Every indented line can be pasted into a shell."""
    clone = simulator.url.replace("://", f"://x-token-auth:{ACCESS_TOKEN}@")
    curl = f"curl -sS -H 'Authorization: Bearer {ACCESS_TOKEN}' -H 'Content-Type: application/json'"
    repository = f"{simulator.api_url}/repositories/{SAMPLE}"
    return f"""Bitbucket Cloud, simulated, at {simulator.url}

Start Tieline with these settings:
  export TIELINE_BITBUCKET_API={simulator.api_url}
  export TIELINE_BITBUCKET_OAUTH={simulator.oauth_url}
  export TIELINE_EGRESS_ALLOW=127.0.0.0/8
Then connect a project to the repository {SAMPLE}:
  export CONSUMER_SECRET={CONSUMER_SECRET}
  tieline integration add bitbucket --repository {SAMPLE} \\
    --app-credentials.key {CONSUMER_KEY} --app-credentials.secret env:CONSUMER_SECRET

Be its developer:
  git clone {clone}/{SAMPLE}.git site
  cd site
  git config user.name Me && git config user.email me@example.com
Push a branch:
  git switch -c mine
  echo '<h1>This is mine</h1>' >index.html
  git commit -am 'Make it mine'
  git push -u origin mine
Open a pull request of it, change it, look at its build, and merge it:
  {curl} {repository}/pullrequests \\
    -d '{{"title": "Mine", "source": {{"branch": {{"name": "mine"}}}}}}'
  git commit --allow-empty -m 'Think again' && git push
  {curl} {repository}/commit/mine/statuses
  {curl} -X POST {repository}/pullrequests/2/merge
Delete the branch:
  git push origin --delete mine
Decline the pull request that was there from the start:
  {curl} -X POST {repository}/pullrequests/1/decline
"""


def run(listen: str, folder: Path) -> None:
    """Serve a sample repository at `address:port` until a signal comes."""
    host, _, port = listen.rpartition(":")
    asyncio.run(_serve(host, int(port), folder))
