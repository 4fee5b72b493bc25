"""Figures for Prometheus: what this process counts, and what the database says when it is asked."""

from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.types import Scope

from tieline.store.figures import Figure

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_UNROUTED: Final = "none"
_KINDS: Final = {
    "activities": "Activities, by state.",
    "deliveries": "Deliveries to the outside, by state.",
    "events": "Changes of activities that somebody wants to know of, by state.",
    "jobs": "Wake-ups of the engine, by state.",
    "hooks": "Stored hooks, by state.",
}


class Metrics:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "tieline_http_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._hooks = Counter(
            "tieline_incoming_hooks", "Incoming hooks, by what became of them.", ("outcome",), registry=self._registry
        )
        self._pool = Gauge("tieline_pool", "Database connections, by state.", ("state",), registry=self._registry)
        self._database = Gauge("tieline_database_up", "Whether the database answers.", registry=self._registry)
        self._rows = {
            kind: Gauge(f"tieline_{kind}", text, ("state",), registry=self._registry) for kind, text in _KINDS.items()
        }

    def count_request(self, scope: Scope, status: int) -> None:
        """Count one answer under its route's template: ids would make endless series."""
        self._requests.labels(scope["method"], route_path(scope), status).inc()

    def count_hook(self, outcome: str) -> None:
        """Count one incoming hook."""
        self._hooks.labels(outcome).inc()

    def render(self, pool: Mapping[str, int], figures: Sequence[Figure] | None) -> bytes:
        """Everything, in Prometheus' text format. `figures` is None while the database does not answer."""
        self._database.set(figures is not None)
        for state, count in pool.items():
            self._pool.labels(state).set(count)
        for gauge in self._rows.values():
            gauge.clear()
        for figure in figures or ():
            self._rows[figure.kind].labels(figure.state).set(figure.count)
        return generate_latest(self._registry)


def route_path(scope: Scope) -> str:
    """The template of the route that served a request, without the ids of the path."""
    path = getattr(scope.get("route"), "path", _UNROUTED)
    return str(path).removeprefix("/api") or _UNROUTED
