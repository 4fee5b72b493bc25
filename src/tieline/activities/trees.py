"""Where commits are checked out to on this machine, and what is left there of workers that were killed."""

import asyncio
from pathlib import Path

from tieline.core.documents import Activity
from tieline.git.folders import remove_folder
from tieline.store import activities
from tieline.store.database import Database


def prepare_trees(root: Path) -> Path:
    """The folder for all checkouts, for our eyes only."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return root


def tree_of(root: Path, activity: Activity) -> Path:
    """The folder of one attempt of an activity; its parent is the activity's own."""
    return root / activity.id / f"{activity.attempt}"


async def remove_abandoned(root: Path, db: Database) -> None:
    """Remove the checkouts of activities that do not run any more, or run elsewhere to their end."""
    for folder in await asyncio.to_thread(lambda: list(root.iterdir())):
        async with db.connection() as conn:
            activity = await activities.get_any(conn, folder.name)
        if activity is None or activity.state != "in_progress":
            await remove_folder(folder)
