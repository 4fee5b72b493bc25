"""Documents in Bitbucket Cloud's shapes. Pure but for the state they show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from tieline.simulators.bitbucket.state import Hook, Pull, Repository

JSON = dict[str, Any]
ABBREVIATED: Final = 12


@dataclass(frozen=True)
class Renderer:
    """`url` is the simulator's root; the real host has three roots for web, API and git."""

    url: str

    def api(self, repository: Repository, *path: str) -> str:
        """The API's address of something of a repository."""
        parts = [repository.workspace, repository.slug, *path]
        return f"{self.url}/2.0/repositories/{'/'.join(quote(part, safe='') for part in parts)}"

    def clone_url(self, repository: Repository) -> str:
        return f"{self.url}/{repository.full_name}.git"

    def user(self, name: str = "Sam Simulated") -> JSON:
        return {
            "type": "user",
            "display_name": name,
            "nickname": name.split(" ", 1)[0].lower(),
            "uuid": "{51111111-1111-4111-8111-111111111111}",
            "account_id": "557058:simulated",
            "links": {"html": {"href": f"{self.url}/sam"}},
        }

    def short_repository(self, repository: Repository) -> JSON:
        """As it stands inside other documents."""
        return {
            "type": "repository",
            "name": repository.slug,
            "full_name": repository.full_name,
            "uuid": repository.uuid,
            "links": {
                "self": {"href": self.api(repository)},
                "html": {"href": f"{self.url}/{repository.full_name}"},
            },
        }

    def repository(self, repository: Repository) -> JSON:
        main = {"type": "branch", "name": repository.main_branch} if repository.heads else None
        links = self.short_repository(repository)["links"]
        clone = self.clone_url(repository)
        scheme, rest = clone.split("://", 1)
        return {
            **self.short_repository(repository),
            "scm": "git",
            "slug": repository.slug,
            "description": "",
            "is_private": repository.private,
            "mainbranch": main,
            "parent": self.short_repository(repository.parent) if repository.parent else None,
            "workspace": {"type": "workspace", "slug": repository.workspace},
            "owner": self.user(),
            "links": {
                **links,
                "clone": [
                    # The real host puts the name of whoever asks into the address.
                    {"name": "https", "href": f"{scheme}://sam@{rest}"},
                    {"name": "ssh", "href": f"git@bitbucket.org:{repository.full_name}.git"},
                ],
            },
        }

    def pull(self, repository: Repository, pull: Pull) -> JSON:
        address = self.api(repository, "pullrequests", str(pull.number))
        return {
            "type": "pullrequest",
            "id": pull.number,
            "title": pull.title,
            "description": pull.description,
            "summary": {"type": "rendered", "raw": pull.description, "markup": "markdown", "html": ""},
            "state": pull.state,
            "draft": pull.draft,
            "author": self.user(pull.author),
            "source": self._end(pull.source, pull.source_branch, pull.head),
            "destination": self._end(repository, pull.target_branch, repository.heads.get(pull.target_branch)),
            "merge_commit": {"type": "commit", "hash": pull.merge_commit[:ABBREVIATED]} if pull.merge_commit else None,
            "close_source_branch": False,
            "comment_count": 0,
            "task_count": 0,
            "created_on": pull.created_on,
            "updated_on": pull.updated_on,
            "links": {
                "self": {"href": address},
                "html": {"href": f"{self.url}/{repository.full_name}/pull-requests/{pull.number}"},
            },
        }

    def _end(self, repository: Repository | None, branch: str, commit: str | None) -> JSON:
        """Source or destination: hashes cut to 12 characters, and nulls for what is gone."""
        return {
            "branch": {"name": branch},
            "commit": {"type": "commit", "hash": commit[:ABBREVIATED]} if commit else None,
            "repository": self.short_repository(repository) if repository else None,
        }

    def hook(self, repository: Repository, hook: Hook) -> JSON:
        """Never with its secret."""
        return {
            "type": "webhook_subscription",
            "uuid": hook.uuid,
            "url": hook.url,
            "description": hook.description,
            "active": hook.active,
            "events": hook.events,
            "secret_set": bool(hook.secret),
            "skip_cert_verification": False,
            "subject_type": "repository",
            "subject": self.short_repository(repository),
            "created_at": hook.created_at,
            "links": {"self": {"href": self.api(repository, "hooks", hook.uuid)}},
        }

    def commit(self, repository: Repository, described: Mapping[str, str]) -> JSON:
        return {
            "type": "commit",
            "hash": described["hash"],
            "date": described["date"],
            "message": described["message"],
            "author": {"type": "author", "raw": described["author"], "user": self.user()},
            "parents": [{"type": "commit", "hash": each} for each in described["parents"].split()],
            "links": {"self": {"href": self.api(repository, "commit", described["hash"])}},
        }

    def ref(self, repository: Repository, kind: str, name: str, target: JSON) -> JSON:
        return {
            "type": kind,
            "name": name,
            "target": target,
            "links": {"self": {"href": self.api(repository, "refs", "branches", name)}},
        }

    def event(self, repository: Repository) -> JSON:
        """What every webhook carries."""
        return {"repository": self.repository(repository), "actor": self.user()}


def pick_fields(document: Any, paths: Sequence[Sequence[str]]) -> Any:
    """A document without what is on none of the paths, as the `fields` parameter has it; null stays null."""
    if isinstance(document, list):
        return [pick_fields(each, paths) for each in document]
    if not isinstance(document, dict) or not all(paths):
        return document
    below: dict[str, list[Sequence[str]]] = {}
    for first, *rest in paths:
        below.setdefault(first, []).append(rest)
    return {name: pick_fields(document[name], below[name]) for name in document if name in below}


def error(message: str, **more: Any) -> JSON:
    """Bitbucket's error body."""
    return {"type": "error", "error": {"message": message, **more}}
