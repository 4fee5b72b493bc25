"""The documents of a server that has all types, made once for whoever asks."""

from functools import cache
from typing import Any

from tieline.api.application import bare_app
from tieline.api.description.fidelity import assess
from tieline.api.description.openapi import describe
from tieline.integrations import ALL


@cache
def openapi() -> dict[str, Any]:
    return describe(bare_app(), ALL)


@cache
def fidelity() -> dict[str, Any]:
    return assess(openapi(), ALL)
