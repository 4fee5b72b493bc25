"""Repositories as a Git host keeps them, written by real git."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


@dataclass
class HostedRepository:
    path: Path

    @classmethod
    def create(cls, path: Path) -> "HostedRepository":
        path.mkdir(parents=True)
        repository = cls(path)
        repository.git("init", "--quiet", "--bare", "--initial-branch=main")
        return repository

    def git(self, *arguments: str | bytes, stdin: bytes = b"") -> str:
        environment = {**os.environ, **_IDENTITY, "GIT_DIR": str(self.path)}
        done = subprocess.run(["git", *arguments], input=stdin, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def commit(self, branch: str, text: str = "hello", parent: str | None = None, message: str = "Work") -> str:
        """A commit with one file on a branch, which is made or moved without asking what it was."""
        said, start = data(f"{message}\n"), f"from {parent}\ndeleteall\n" if parent else ""
        stream = (
            f"commit refs/heads/{branch}\nmark :1\ncommitter Ada <ada@example.com> now\n{said}{start}"
            f"M 100644 inline file.txt\n{data(text)}get-mark :1\n"
        )
        return self.git("fast-import", "--quiet", "--force", "--date-format=now", stdin=stream.encode())

    def commit_tree(self, files: dict[str, str], parent: str | None = None, message: str = "Work") -> str:
        entries = []
        for name, text in files.items():
            blob = self.git("hash-object", "-w", "--stdin", stdin=text.encode())
            entries.append(f"100644 blob {blob}\t{name}\n")
        tree = self.git("mktree", stdin="".join(entries).encode())
        return self.git("commit-tree", tree, "-m", message, *(("-p", parent) if parent else ()))

    def point(self, ref: str, sha: str) -> None:
        """Packed, so that names are possible that no file can have."""
        self.git("update-ref", ref, sha)

    def delete(self, branch: str) -> None:
        self.git("update-ref", "-d", f"refs/heads/{branch}")

    def heads(self) -> dict[str, str]:
        lines = self.git("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads").splitlines()
        return {name: sha for sha, name in (line.split(" ", 1) for line in lines)}


def data(text: str) -> str:
    """What is between commands of `git fast-import`."""
    return f"data {len(text.encode())}\n{text}\n"
