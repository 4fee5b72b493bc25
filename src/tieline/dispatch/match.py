"""Who wants to know of what. Pure."""

from fnmatch import fnmatchcase

from tieline.core.documents import Activity, Integration


def match(activity: Activity, integration: Integration) -> bool:
    """Whether an integration wants to know that the activity entered its state.

    Never of what it does itself: that would not end.
    """
    wants = integration.config
    return (
        not _is_of(activity, integration)
        and any(matches_type(activity.type, each) for each in wants["events"])
        and activity.state in wants["states"]
        and wants["result"] in ("*", activity.result)
        and matches_environment(activity.environment_id, wants["environments"], wants["excluded_environments"])
    )


def matches_type(activity_type: str, wanted: str) -> bool:
    """`*` is every type, `environment.*` and `environment` everything of that category; other patterns are globs."""
    if _fits(activity_type, wanted):
        return True
    category = wanted.removesuffix(".")
    return "." not in category and activity_type.startswith(f"{category}.")


def matches_environment(environment_id: str | None, wanted: list[str], excluded: list[str]) -> bool:
    """Globs of environments. What happens outside of any environment is of interest to who wants all of them."""
    if environment_id is None:
        return "*" in wanted
    return _is_among(environment_id, wanted) and not _is_among(environment_id, excluded)


def _is_among(environment_id: str, patterns: list[str]) -> bool:
    return any(_fits(environment_id, each) for each in patterns)


def _fits(text: str, pattern: str) -> bool:
    # Most want all, and are asked for every event.
    return pattern == "*" or fnmatchcase(text, pattern)


def _is_of(activity: Activity, integration: Integration) -> bool:
    """Whether it is its own. The deliveries of others, which are activities too, are never written to the outbox."""
    return activity.integration_id == integration.id
