"""Who may ask for what: each route's rule, read from what the route depends on.

A route that depends on none of the gate's questions, and is not named here as one that is open to anybody, has no rule:
`python -m tools.docs --check` and the tests refuse it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute

from tieline.api import gate, state
from tieline.api.application import bare_app

CALLERS: Final = ("nobody", "stranger", "viewer", "admin", "operator")
YES: Final = "yes"
# A user's own account is open to it; others' look as if they were not there.
OWN: Final = "own"


@dataclass(frozen=True)
class Rule:
    """What each of `CALLERS` gets: an answer, its own account's, or a status."""

    name: str
    outcomes: tuple[str, str, str, str, str]


ANYBODY: Final = Rule("anybody", (YES,) * 5)
KNOWN: Final = Rule("any caller", ("401", YES, YES, YES, YES))
ACCOUNT: Final = Rule("own account", ("401", OWN, OWN, OWN, YES))
VIEWER: Final = Rule("viewer", ("401", "404", YES, YES, YES))
ADMIN: Final = Rule("admin", ("401", "404", "403", YES, YES))
OPERATOR: Final = Rule("operator", ("401", "403", "403", "403", YES))

# The strictest first: a route that asks for several has that one.
_ASKED: Final = (
    (gate.operator, OPERATOR),
    (gate.admin, ADMIN),
    (gate.organization_admin, ADMIN),
    (gate.own_account, ACCOUNT),
    (gate.viewer, VIEWER),
    (gate.organization_viewer, VIEWER),
    (gate.caller, KNOWN),
)
_LISTED: Final = "/projects/{project_id}/integrations"
_ONE: Final = _LISTED + "/{integration_id}"
# Plain routes ask the gate themselves; a hook is let in by its signature.
_PLAIN: Final = {
    ("GET", "/healthz"): ANYBODY,
    ("GET", _LISTED): ADMIN,
    ("GET", _ONE): ADMIN,
    ("POST", _ONE + "/hook"): ANYBODY,
}
_OPEN: Final = (
    ("POST", "/oauth2/token"),
    ("POST", "/oauth2/revoke"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/{name}"),
    ("GET", "/fidelity"),
)


@dataclass(frozen=True)
class Ruled:
    """A route and its rule, if it has one."""

    method: str
    path: str
    rule: Rule | None

    @property
    def is_twin(self) -> bool:
        """Whether it is the one under `/api` of two."""
        return self.path.startswith("/api/")


def rules_of(routes: Iterable[BaseRoute]) -> Iterator[Ruled]:
    """The rule of each route and method."""
    for route in iter_route_contexts(list(routes)):
        for method in sorted((route.methods or set()) - {"HEAD"}):
            path = route.path or ""
            yield Ruled(method, path, _rule(route.original_route, method, path))


def _rule(route: BaseRoute, method: str, path: str) -> Rule | None:
    if not isinstance(route, APIRoute):
        return _PLAIN.get((method, path.removeprefix("/api")))
    asked = set(_calls(route.dependant))
    rule = next((rule for call, rule in _ASKED if call in asked), None)
    return rule or (ANYBODY if (method, path) in _OPEN else None)


def _calls(dependant: Any) -> Iterator[Any]:
    """What a route depends on, however far down."""
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)


def documented_rules() -> list[Ruled]:
    """Every route there may be, without its twin under `/api`."""
    app = bare_app()
    app.include_router(state.development_router)
    plain = [Ruled(method, path, rule) for (method, path), rule in _PLAIN.items()]
    once = [each for each in rules_of(app.routes) if not each.is_twin]
    return sorted([*plain, *once], key=lambda each: (each.path, each.method))


def rights_rows() -> Iterator[tuple[str, ...]]:
    """A row for each route."""
    for each in documented_rules():
        outcomes = each.rule.outcomes if each.rule else ("?",) * len(CALLERS)
        yield f"{each.method} `{each.path}`", *outcomes


def without_rule() -> Iterator[str]:
    """A sentence for each route that nobody said anything of."""
    for each in documented_rules():
        if each.rule is None:
            yield (
                f"{each.method} {each.path} is open to anybody without saying so: "
                "let it depend on a question of api/gate.py, or name it in tools/rights.py"
            )
