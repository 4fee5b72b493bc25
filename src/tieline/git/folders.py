"""Removing what was checked out."""

import asyncio
from asyncio.subprocess import DEVNULL
from pathlib import Path


async def remove_folder(folder: Path) -> None:
    """With everything in it; fine when it is not there.

    Python's own `shutil.rmtree` calls itself for every level, and a tree may have thousands.
    """
    process = await asyncio.create_subprocess_exec(
        "rm", "-rf", "--", str(folder), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    await process.wait()
