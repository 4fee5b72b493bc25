"""Real repositories, made with git's plumbing."""

import asyncio
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Sam Simulated",
    "GIT_AUTHOR_EMAIL": "sam@example.com",
    "GIT_COMMITTER_NAME": "Sam Simulated",
    "GIT_COMMITTER_EMAIL": "sam@example.com",
    "LC_ALL": "C",
}


def environment() -> dict[str, str]:
    """A closed environment for git."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": os.devnull, **_ENVIRONMENT}


class GitError(Exception):
    """git ended with an error; the message is its own."""


async def git(path: Path, *arguments: str, stdin: bytes = b"") -> str:
    """Run git in a bare repository; what it printed, without the last newline."""
    process = await asyncio.create_subprocess_exec(
        "git",
        f"--git-dir={path}",
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    output, errors = await process.communicate(stdin)
    if process.returncode != 0:
        # A merge that conflicts says so on its standard output.
        raise GitError((errors or output).decode(errors="replace").strip())
    return output.decode(errors="replace").removesuffix("\n")


def create(path: Path, main_branch: str) -> None:
    """An empty bare repository that takes pushes over HTTP."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _run("git", "init", "--quiet", "--bare", f"--initial-branch={main_branch}", str(path))
    _run("git", f"--git-dir={path}", "config", "http.receivepack", "true")


def clone(source: Path, path: Path) -> None:
    """A copy of a repository: a fork."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _run("git", "clone", "--quiet", "--bare", "--no-hardlinks", str(source), str(path))
    _run("git", f"--git-dir={path}", "config", "http.receivepack", "true")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env=environment())


async def read_refs(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Branches and tags, by name."""
    heads: dict[str, str] = {}
    tags: dict[str, str] = {}
    # Names may hold characters that `splitlines` takes for the end of a line.
    for line in filter(None, (await git(path, "for-each-ref", "--format=%(objectname) %(refname)")).split("\n")):
        commit, name = line.split(" ", 1)
        if name.startswith("refs/heads/"):
            heads[name.removeprefix("refs/heads/")] = commit
        elif name.startswith("refs/tags/"):
            tags[name.removeprefix("refs/tags/")] = commit
    return heads, tags


async def commit_files(
    path: Path, branch: str, files: Mapping[str, str | bytes], message: str, parent: str | None
) -> str:
    """One commit on top of `parent` (a hash) that sets `files`; the branch then points to it."""
    stream = [f"commit refs/heads/{branch}\n", "mark :1\n", "committer Sam Simulated <sam@example.com> now\n"]
    stream += [f"data {len(message.encode())}\n{message}\n"]
    parts = ["".join(stream).encode()]
    if parent is not None:
        parts.append(f"from {parent}\n".encode())
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        parts.append(f"M 100644 inline {name}\ndata {len(data)}\n".encode() + data + b"\n")
    parts.append(b"\nget-mark :1\n")
    # --force, because a branch that starts elsewhere than where it was is a forced push.
    return await git(path, "fast-import", "--quiet", "--force", "--date-format=now", stdin=b"".join(parts))


async def merge(path: Path, target: str, source: str, message: str) -> str:
    """A merge commit of two hashes. Raises `GitError` when they conflict."""
    tree = (await git(path, "merge-tree", "--write-tree", target, source)).splitlines()[0]
    return await git(path, "commit-tree", tree, "-p", target, "-p", source, "-m", message)


async def describe(path: Path, commit: str) -> dict[str, str]:
    """Hash, author, date, message and parents of a commit."""
    text = await git(path, "show", "--no-patch", "--format=%H%x00%an <%ae>%x00%cI%x00%P%x00%B", commit)
    full, author, date, parents, message = text.split("\0", 4)
    return {"hash": full, "author": author, "date": date, "parents": parents, "message": message}
