"""Bitbucket Server (Data Center): what it is and its fields."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from tieline.core.documents import JSON
from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import CALLED_URL, SENT_BY_CLI, WRITE_ONLY
from tieline.integrations.git_hosts import GitFields, is_part, shorten
from tieline.integrations.values import HTTPURL, Filled

# Below the root of an installation: where a repository is cloned from, and where people look at it.
_PLACES: Final = re.compile(
    r"(?:scm/(?P<key>[^/]+)/(?P<name>[^/]+)|projects/(?P<project>[^/]+)/repos/(?P<slug>[^/]+)(?:/browse)?)\Z"
)


def _part(value: str) -> str:
    if not is_part(value):
        raise ValueError("Must be one name without a slash: project and repository each have a field of their own.")
    return value


class BitbucketServerFields(GitFields):
    """The fields of a Bitbucket Server integration, in the order they are read."""

    url: Annotated[HTTPURL, CALLED_URL]
    """The address of the Bitbucket Server installation."""

    username: Filled
    """The user that the token belongs to."""

    token: Annotated[Filled, WRITE_ONLY]
    """The personal access token of that user; never returned."""

    project: Annotated[str, AfterValidator(_part)]
    """The key of the project that the repository is in, e.g. `ACME`."""

    repository: Annotated[str, AfterValidator(_part)]
    """The name of the repository within its project."""

    build_pull_requests: Annotated[bool, SENT_BY_CLI] = True
    """Whether each open pull request becomes an environment."""

    pull_requests_clone_parent_data: Annotated[bool, SENT_BY_CLI] = True
    """Whether the environment of a pull request starts with a copy of its parent's data."""

    @classmethod
    def normalise(cls, body: JSON) -> JSON:
        """A repository may be given by its address, which names its project too; slashes before names are dropped."""
        return _split(shorten(shorten(body, "repository", body.get("url")), "project"))


def _split(body: JSON) -> JSON:
    given = body.get("repository")
    place = _PLACES.match(given) if isinstance(given, str) else None
    if place is None:
        return body
    project, name = place["key"] or place["project"], place["name"] or place["slug"]
    # An address in another project than the one that is given is left for the check to refuse.
    agrees = str(body.get("project", project)).casefold() == project.casefold()
    return {"project": project, **body, "repository": name} if agrees else body


TYPE: Final = IntegrationType(
    key="bitbucket_server",
    title="Bitbucket Server",
    summary="Branches and pull requests of a Bitbucket Server repository become environments.",
    fields=BitbucketServerFields,
    example={
        "type": "bitbucket_server",
        "url": "https://bitbucket.example.com",
        "username": "tieline",
        "token": "personal-access-token",
        "project": "ACME",
        "repository": "site",
        "fetch_branches": True,
        "prune_branches": True,
        "build_pull_requests": True,
        "environment_init_resources": "parent",
    },
    is_git_source=True,
    not_yet="Neither branches nor pull requests are followed yet.",
)
