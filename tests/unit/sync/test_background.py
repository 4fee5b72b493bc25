"""The timer's looks and what people wait for share each budget."""

from dataclasses import dataclass, field
from typing import Any

from tieline.core.ports import Toolbox
from tieline.integrations.base import Registry
from tieline.sync.background import in_background


@dataclass
class Asked:
    limits: list[tuple[str, float]] = field(default_factory=list)

    async def take(self, credential: str, per_hour: int) -> None:
        self.limits.append((credential, per_hour))

    async def block(self, credential: str, seconds: float) -> None:
        self.limits.append((credential, seconds))


async def test_half_of_a_budget_is_left_to_what_people_wait_for() -> None:
    http: Any = None
    asked = Asked()
    registry = Registry((), Toolbox(http, asked, {}, cache={"token": 1}))

    tools = in_background(registry).toolbox
    await tools.limiter.take("ada", 1000)
    await tools.limiter.block("ada", 30)

    assert asked.limits == [("ada", 500), ("ada", 30)]
    assert tools.cache is registry.toolbox.cache, "tokens are shared"
