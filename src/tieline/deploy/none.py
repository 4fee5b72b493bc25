"""The deployer that records only."""

from tieline.core.ports import DeployAnswer, DeployOrder, Log


class NoDeployer:
    """Succeeds at everything and runs nothing: for trying Tieline out, and where others deploy."""

    async def run(self, order: DeployOrder, log: Log) -> DeployAnswer:
        if order.action == "deploy":
            await log.write("No deployer is configured: recording the commit only.")
        return DeployAnswer()
