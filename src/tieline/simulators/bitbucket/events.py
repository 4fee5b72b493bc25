"""Which webhook follows from what, with Bitbucket's payloads."""

from collections.abc import Mapping
from dataclasses import dataclass

from tieline.simulators.bitbucket import plumbing
from tieline.simulators.bitbucket.payloads import JSON, Renderer
from tieline.simulators.bitbucket.state import Pull, Repository
from tieline.simulators.bitbucket.webhooks import Webhooks


@dataclass
class Events:
    """Turns changes into webhooks."""

    webhooks: Webhooks
    render: Renderer

    def pull(self, repository: Repository, pull: Pull, name: str) -> None:
        """`created`, `updated`, `fulfilled` or `rejected`."""
        payload = {**self.render.event(repository), "pullrequest": self.render.pull(repository, pull)}
        self.webhooks.emit(repository, f"pullrequest:{name}", payload)

    def updated(self, repository: Repository, old_name: str) -> None:
        """A repository that was renamed."""
        changes = {"full_name": {"old": old_name, "new": repository.full_name}}
        self.webhooks.emit(repository, "repo:updated", {**self.render.event(repository), "changes": changes})

    async def pushed(
        self, repository: Repository, heads_before: Mapping[str, str], tags_before: Mapping[str, str]
    ) -> None:
        """One event for every branch and tag of one push."""
        changes = [
            await self._change(repository, kind, name, before.get(name), after.get(name))
            for kind, before, after in (
                ("branch", heads_before, repository.heads),
                ("tag", tags_before, repository.tags),
            )
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        ]
        # With nobody listening the commits need not be read; 2,000 branches at once would take a while.
        if changes:
            self.webhooks.emit(repository, "repo:push", {**self.render.event(repository), "push": {"changes": changes}})

    async def _change(
        self, repository: Repository, kind: str, name: str, before: str | None, after: str | None
    ) -> JSON:
        return {
            "old": await self._ref(repository, kind, name, before),
            "new": await self._ref(repository, kind, name, after),
            "created": before is None,
            "closed": after is None,
            "forced": False,
            "truncated": False,
            "commits": [],
        }

    async def _ref(self, repository: Repository, kind: str, name: str, commit: str | None) -> JSON | None:
        if commit is None:
            return None
        if not repository.hooks:
            return self.render.ref(repository, kind, name, {"type": "commit", "hash": commit})
        described = await plumbing.describe(repository.path, commit)
        return self.render.ref(repository, kind, name, self.render.commit(repository, described))
