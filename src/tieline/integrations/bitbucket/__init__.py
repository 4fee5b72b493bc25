"""Bitbucket Cloud: what it is, its fields, the roles it plays."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from tieline.core.documents import JSON
from tieline.integrations.base import IntegrationType, Setting
from tieline.integrations.bitbucket import hook, roles, validator
from tieline.integrations.bitbucket.client import API, OAUTH
from tieline.integrations.bitbucket.names import is_repository
from tieline.integrations.fields import WRITE_ONLY, Fields, IntegrationFields

_ADDRESS: Final = re.compile(
    r"\A(?:https?://(?:[^/@]*@)?(?:www\.)?bitbucket\.org/|(?:ssh://)?git@bitbucket\.org[:/])", re.IGNORECASE
)


def _filled(value: str) -> str:
    """Neither length nor alphabet is judged: Atlassian changed both before."""
    if not value.strip():
        raise ValueError("Must not be empty.")
    if not value.isprintable():
        raise ValueError("Must not contain line breaks or other control characters; please copy it again.")
    return value


def _repository(value: str) -> str:
    if not is_repository(value):
        raise ValueError("Must be user/repo, as in the repository's address: https://bitbucket.org/user/repo.")
    return value


Filled = Annotated[str, AfterValidator(_filled)]


class AppCredentials(Fields):
    """The OAuth2 consumer."""

    key: Filled
    """The OAuth consumer key."""

    secret: Annotated[Filled, WRITE_ONLY]
    """The OAuth consumer secret; never returned."""


class AddonCredentials(Fields):
    """The installation of a Connect add-on."""

    addon_key: Filled
    """The addon key (public identifier)."""

    client_key: Filled
    """The client key (public identifier)."""

    shared_secret: Annotated[Filled, WRITE_ONLY]
    """The secret of the installation; never returned."""


class BitbucketFields(IntegrationFields):
    """The fields of a Bitbucket integration, in the order they are read."""

    fetch_branches: bool = True
    """Whether every branch is mirrored and becomes an environment."""

    prune_branches: bool = True
    """Whether environments are removed when their branch is gone at Bitbucket (requires `fetch_branches`)."""

    environment_init_resources: Literal["default", "manual", "minimum", "parent"] = "default"
    """The resources that the services of a new environment start with."""

    app_credentials: AppCredentials | None = None
    """The OAuth2 consumer that Tieline authenticates with."""

    addon_credentials: AddonCredentials | None = None
    """The Connect add-on installation that Tieline authenticates with, where there is no consumer."""

    repository: Annotated[str, AfterValidator(_repository)]
    """The Bitbucket repository, in the form `user/repo`."""

    build_pull_requests: bool = True
    """Whether each open pull request becomes an environment."""

    pull_requests_clone_parent_data: bool = True
    """Whether the environment of a pull request starts with a copy of its parent's data."""

    pull_requests_max_pages: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many pages of open pull requests one sync walks, 50 on each; null means no limit."""

    resync_pull_requests: bool = False
    """Whether the data of a pull request's environment is copied anew from its parent at every build."""

    @classmethod
    def normalise(cls, body: JSON) -> JSON:
        """A repository may be given by its address, and the vendor's command line adds a slash to it."""
        given = body.get("repository")
        return body | {"repository": _shorten(given)} if isinstance(given, str) else body

    @classmethod
    def settle(cls, values: JSON) -> JSON:
        """Pruning what is not fetched makes no sense, so it is off then, as the vendor's command line has it."""
        return values | {"prune_branches": values["prune_branches"] and values["fetch_branches"]}


def _shorten(repository: str) -> str:
    return _ADDRESS.sub("", repository, count=1).strip("/").removesuffix(".git")


TYPE: Final = IntegrationType(
    key="bitbucket",
    title="Bitbucket",
    summary="Branches and pull requests of a Bitbucket Cloud repository become environments.",
    fields=BitbucketFields,
    example={
        "type": "bitbucket",
        "repository": "acme/site",
        "app_credentials": {"key": "consumer-key", "secret": "consumer-secret"},
        "fetch_branches": True,
        "prune_branches": True,
        "build_pull_requests": True,
        "environment_init_resources": "parent",
    },
    is_git_source=True,
    settings=(
        Setting(API, "https://api.bitbucket.org/2.0", "Bitbucket Cloud's REST root."),
        Setting(OAUTH, "https://bitbucket.org/site/oauth2/access_token", "Bitbucket Cloud's token endpoint."),
    ),
    hook_format=hook.FORMAT,
    hook_events=hook.EVENTS,
    source=roles.BitbucketSource,
    hook_registrar=roles.BitbucketHooks,
    status_reporter=roles.BitbucketStatuses,
    validator=validator.BitbucketValidator,
)
