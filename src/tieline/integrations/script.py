"""Activity script: what it is and its fields."""

from typing import Annotated, Final

from pydantic import AfterValidator

from tieline.integrations.base import IntegrationType
from tieline.integrations.events import EventFields, Ordered


def _script(value: str) -> str:
    if not value.strip():
        raise ValueError("Must not be empty: this is the source of the script.")
    return value


class ScriptFields(EventFields):
    """The fields of an activity script, in the order they are read."""

    script: Annotated[str, AfterValidator(_script)]
    """The source of the script, in JavaScript."""

    ordered: Ordered = True


TYPE: Final = IntegrationType(
    key="script",
    title="Script",
    summary="A script of yours runs on the project's activities.",
    fields=ScriptFields,
    example={
        "type": "script",
        "script": "console.log(activity.type);\n",
        "events": ["environment.push"],
        "states": ["complete"],
        "environments": ["*"],
    },
    not_yet="No script runs yet.",
)
