"""GitHub: what it is and its fields."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator

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
from tieline.integrations.git_hosts import GitFields, is_repository, shorten
from tieline.integrations.values import HTTPURL, Filled

_API_PATH: Final = re.compile(r"/api(?:/v3)?/?\Z")
_APP_TOKENS: Final = ("ghs_", "ghu_")
_BUILT: Final = Needs("build_pull_requests")


def _repository(value: str) -> str:
    if not is_repository(value):
        raise ValueError("Must be user/repo, as in the repository's address: https://github.com/user/repo.")
    return value


class GitHubFields(GitFields):
    """The fields of a GitHub integration, in the order they are read."""

    token: Annotated[Filled, WRITE_ONLY]
    """The token that Tieline authenticates with; never returned."""

    base_url: Annotated[HTTPURL | None, CALLED_URL, NULLABLE] = None
    """The API endpoint of a GitHub Enterprise Server, e.g. `https://github.example/api/v3`; null is github.com."""

    repository: Annotated[str, AfterValidator(_repository)]
    """The GitHub repository, in the form `user/repo`."""

    build_pull_requests: Annotated[bool, SENT_BY_CLI] = True
    """Whether each open pull request becomes an environment."""

    build_draft_pull_requests: Annotated[bool, _BUILT, SENT_BY_CLI] = True
    """Whether drafts do as well (requires `build_pull_requests`)."""

    build_pull_requests_post_merge: Annotated[bool, _BUILT, SENT_BY_CLI] = False
    """Whether the result of the merge is built and not the branch itself (requires `build_pull_requests`)."""

    pull_requests_clone_parent_data: Annotated[bool, _BUILT, SENT_BY_CLI] = True
    """Whether a pull request's environment starts with a copy of its parent's data (requires `build_pull_requests`)."""

    token_type: Annotated[
        Literal["classic_personal_token", "github_app"],
        READ_ONLY,
        Basis("inferred", "The vendor does not say how it tells them apart; Tieline goes by the token's prefix."),
        OUR_CHOICE,
    ] = "classic_personal_token"  # noqa: S105 - the name of a kind
    """The kind of token, which Tieline reads from the token itself."""

    @classmethod
    def normalise(cls, body: JSON) -> JSON:
        """A repository may be given by its address, and the vendor's command line adds a slash to it."""
        base_url = body.get("base_url")
        enterprise = _API_PATH.sub("", base_url) if isinstance(base_url, str) else None
        return shorten(body, "repository", "https://github.com", enterprise)

    @classmethod
    def settle(cls, values: JSON) -> JSON:
        """The switches that need another one, and the kind of the token."""
        is_app = values["token"].startswith(_APP_TOKENS)
        return super().settle(values) | {"token_type": "github_app" if is_app else "classic_personal_token"}


TYPE: Final = IntegrationType(
    key="github",
    title="GitHub",
    summary="Branches and pull requests of a GitHub repository become environments.",
    fields=GitHubFields,
    example={
        "type": "github",
        "repository": "acme/site",
        "token": "personal-access-token",
        "fetch_branches": True,
        "prune_branches": True,
        "build_pull_requests": True,
        "build_draft_pull_requests": False,
        "environment_init_resources": "parent",
    },
    is_git_source=True,
    not_yet="Neither branches nor pull requests are followed yet.",
)
