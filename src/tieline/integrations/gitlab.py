"""GitLab: what it is and its fields."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from tieline.core.documents import JSON
from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import (
    CALLED_URL,
    NULLABLE,
    OUR_CHOICE,
    READ_ONLY,
    SENT_BY_CLI,
    WRITE_ONLY,
    Basis,
    Needs,
)
from tieline.integrations.git_hosts import GitFields, is_nested_repository, shorten
from tieline.integrations.values import HTTPURL, Filled

_GITLAB_COM: Final = "https://gitlab.com"
_LONGEST_WEEKS: Final = 52
_BUILT: Final = Needs("build_merge_requests")


def _project(value: str) -> str:
    if not is_nested_repository(value):
        raise ValueError("Must be namespace/repo, as in the project's address: https://gitlab.com/namespace/repo.")
    return value


class GitLabFields(GitFields):
    """The fields of a GitLab integration, in the order they are read."""

    token: Annotated[Filled, WRITE_ONLY]
    """The access token that Tieline authenticates with; never returned."""

    token_expires_at: Annotated[datetime | None, READ_ONLY, NULLABLE] = None
    """When the token expires; null while that is not known."""

    rotate_token: Annotated[bool, OUR_CHOICE] = False
    """Whether the token is replaced by a new one, through GitLab's API, before it expires."""

    rotate_token_validity_in_weeks: Annotated[
        int,
        Field(ge=1, le=_LONGEST_WEEKS),
        Basis("inferred", "The vendor names neither a default nor limits; GitLab's own limit is a year.", "default"),
    ] = 4
    """How many weeks a new token is valid."""

    base_url: Annotated[
        HTTPURL, CALLED_URL, Basis("documented", "The vendor's guide leaves it out for gitlab.com.", "default")
    ] = _GITLAB_COM
    """The address of the GitLab installation."""

    project: Annotated[str, AfterValidator(_project)]
    """The GitLab project, in the form `namespace/repo`; a namespace may have subgroups."""

    build_merge_requests: Annotated[bool, SENT_BY_CLI] = True
    """Whether each open merge request becomes an environment."""

    build_wip_merge_requests: Annotated[bool, _BUILT, SENT_BY_CLI] = True
    """Whether drafts do as well (requires `build_merge_requests`)."""

    merge_requests_clone_parent_data: Annotated[bool, _BUILT, SENT_BY_CLI] = True
    """Whether a merge request's environment starts with its parent's data (requires `build_merge_requests`)."""

    @classmethod
    def normalise(cls, body: JSON) -> JSON:
        """A project may be given by its address, and with a slash before it."""
        return shorten(body, "project", _GITLAB_COM, body.get("base_url"))


TYPE: Final = IntegrationType(
    key="gitlab",
    title="GitLab",
    summary="Branches and merge requests of a GitLab project become environments.",
    fields=GitLabFields,
    example={
        "type": "gitlab",
        "project": "acme/web/site",
        "token": "project-access-token",
        "base_url": "https://gitlab.example.com",
        "fetch_branches": True,
        "prune_branches": True,
        "build_merge_requests": True,
        "environment_init_resources": "parent",
    },
    is_git_source=True,
    not_yet="Neither branches nor merge requests are followed yet.",
)
