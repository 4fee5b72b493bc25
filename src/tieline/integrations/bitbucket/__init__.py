"""Bitbucket Cloud: what it is, its fields, the roles it plays."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from tieline.core.documents import JSON
from tieline.integrations.base import IntegrationType, Setting
from tieline.integrations.bitbucket import hook, roles, validator
from tieline.integrations.bitbucket.client import API, OAUTH
from tieline.integrations.fields import NULLABLE, OUR_CHOICE, SENT_BY_CLI, WRITE_ONLY, Basis, Fields
from tieline.integrations.git_hosts import GitFields, is_repository, shorten
from tieline.integrations.values import Filled


def _repository(value: str) -> str:
    if not is_repository(value):
        raise ValueError("Must be user/repo, as in the repository's address: https://bitbucket.org/user/repo.")
    return value


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


class BitbucketFields(GitFields):
    """The fields of a Bitbucket integration, in the order they are read."""

    app_credentials: Annotated[AppCredentials | None, NULLABLE] = None
    """The OAuth2 consumer that Tieline authenticates with."""

    addon_credentials: Annotated[AddonCredentials | None, NULLABLE] = None
    """The Connect add-on installation that Tieline authenticates with, where there is no consumer."""

    repository: Annotated[str, AfterValidator(_repository)]
    """The Bitbucket repository, in the form `user/repo`."""

    build_pull_requests: Annotated[bool, SENT_BY_CLI] = True
    """Whether each open pull request becomes an environment."""

    pull_requests_clone_parent_data: Annotated[bool, OUR_CHOICE] = True
    """Whether the environment of a pull request starts with a copy of its parent's data."""

    pull_requests_max_pages: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000)] | None,
        Basis("documented", "Null means no limit.", "default"),
    ] = None
    """How many pages of open pull requests one sync walks, 50 on each; null means no limit."""

    resync_pull_requests: Annotated[bool, SENT_BY_CLI] = False
    """Whether the data of a pull request's environment is copied anew from its parent at every build."""

    @classmethod
    def normalise(cls, body: JSON) -> JSON:
        """A repository may be given by its address, and the vendor's command line adds a slash to it."""
        return shorten(body, "repository", "https://bitbucket.org")


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
