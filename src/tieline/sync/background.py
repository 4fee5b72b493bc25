"""What nobody waits for leaves half of each request budget to what people wait for."""

from dataclasses import dataclass, replace

from tieline.core.ports import Limiter
from tieline.integrations.base import Registry


@dataclass(frozen=True)
class HalfLimiter:
    """Spends from the same budgets, and stops when they are half used up."""

    whole: Limiter

    async def take(self, credential: str, per_hour: int) -> None:
        """Raises `RateLimited`."""
        await self.whole.take(credential, per_hour // 2)

    async def block(self, credential: str, seconds: float) -> None:
        await self.whole.block(credential, seconds)


def in_background(registry: Registry) -> Registry:
    """The same types, tokens and caches, for the timer's looks."""
    tools = registry.toolbox
    return replace(registry, toolbox=replace(tools, limiter=HalfLimiter(tools.limiter)))
