"""The deployer's part of an activity: each action timed, recorded and logged."""

import time
from pathlib import Path
from typing import Final

from tieline.core.errors import DeployFailed
from tieline.core.ports import Action, DeployAnswer, Deployer, DeployOrder, DeploySubject, Log, OrderWriter

KILLED: Final = 137


class Steps:
    """Runs a deployer's actions for one subject, and keeps what the activity shows of them."""

    def __init__(self, deployer: Deployer, write_order: OrderWriter, subject: DeploySubject, log: Log) -> None:
        self.subject = subject
        self.log = log
        self.timings: dict[str, float] = {}
        self.commands: list[dict[str, str | int]] = []
        self._deployer = deployer
        self._write_order = write_order

    async def run(self, action: Action, tree: Path | None = None) -> DeployAnswer:
        """Raises `DeployFailed`; what it took and how it ended is recorded all the same."""
        order = DeployOrder(action, self._write_order(action, self.subject, tree), tree)
        began = time.monotonic()
        try:
            answer = await self._deployer.run(order, self.log)
        except DeployFailed as error:
            self._record(action, KILLED if error.exit_status is None else error.exit_status)
            raise
        finally:
            self.timings[action.replace("-", "_")] = round(time.monotonic() - began, 3)
        self._record(action, 0)
        return answer

    def _record(self, action: Action, exit_status: int) -> None:
        self.commands.append({"app": self.subject.environment.id, "type": action, "exit_code": exit_status})
