"""The `upsun` command line, unmodified, as somebody runs it who has pointed it at Tieline."""

import csv
import io
import re
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.cli.programs import Ended
from tests.clients.installed import UPSUN, present

# The exit statuses that the client has for what went wrong.
FAILED, LOGIN_NEEDED, INVALID, FORBIDDEN = 1, 3, 4, 6

# What PHP says about a document that is not as its code takes it to be.
NOISE = re.compile(r"phar://|Undefined|Stack trace|\b(Warning|Notice|Deprecated|Fatal error): .*\.php|\bArray\b")

HYGIENE = {
    "COLUMNS": "150",
    "TZ": "UTC",
    "PATH": "/usr/bin:/bin",
    "UPSUN_CLI_API_DISABLE_CREDENTIAL_HELPERS": "1",
    "UPSUN_CLI_DISABLE_CACHE": "1",
    "UPSUN_CLI_NO_INTERACTION": "1",
    "UPSUN_CLI_SSH_AUTO_LOAD_CERT": "0",
    "UPSUN_CLI_UPDATES_CHECK": "0",
}


@dataclass(frozen=True)
class Upsun:
    """One person's `upsun`. `project`, where it is set, is the one that every command is about."""

    server: str
    token: str
    home: Path
    project: str = ""
    variables: dict[str, str] = field(default_factory=dict)

    def __call__(self, command: str, *arguments: str, status: int = 0) -> str:
        """What a command says that ends with `status`: its result alone, or all of it where it fails."""
        ended = self.run(command, *arguments)
        assert ended.status == status, f"{command} {arguments}: {ended}"
        return ended.out if status == 0 else ended.out + ended.err

    def run(self, command: str, *arguments: str) -> Ended:
        with self.started(command, *arguments) as process:
            return conclude(process)

    def started(self, command: str, *arguments: str) -> "subprocess.Popen[bytes]":
        of_project = ("--project", self.project) if self.project else ()
        return subprocess.Popen(
            [present(UPSUN), command, *arguments, *of_project],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @property
    def environment(self) -> dict[str, str]:
        who = {"HOME": str(self.home), "UPSUN_CLI_TOKEN": self.token} if self.token else {"HOME": str(self.home)}
        where = {"UPSUN_CLI_API_URL": self.server, "UPSUN_CLI_AUTH_URL": self.server}
        return {**HYGIENE, **who, **where, **self.variables}

    def rows(self, command: str, *arguments: str) -> list[list[str]]:
        """The cells of a table, without its header, as a script reads them."""
        text = self(command, *arguments, "--format", "tsv", "--no-header")
        return list(csv.reader(io.StringIO(text), delimiter="\t"))

    def within(self, project: str) -> "Upsun":
        return replace(self, project=project)

    def as_somebody(self, token: str) -> "Upsun":
        return replace(self, token=token)


def conclude(process: "subprocess.Popen[bytes]") -> Ended:
    """How a command ended, and what it said that was not read yet. PHP has nothing to complain about."""
    out, err = (each.decode() for each in process.communicate(timeout=60))
    assert not NOISE.search(out + err), out + err
    return Ended(process.returncode, out, err)
