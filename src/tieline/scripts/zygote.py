"""The process that scripts are forked from: single-threaded, warm, without the server's memory or environment.

It runs under `python -I -S` and obeys the server over a socket. It ends with the server, and its forks with it.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from tieline.scripts import child
from tieline.scripts.confinement import Limits, be_the_first_to_go, become_nobody, die_with, filter_that_works
from tieline.scripts.frames import ENDED, FORK, NOT_STARTED, ORDER, READY


def main(control: int, server: int, limits: str) -> None:
    """Serve until the server closes its end of `control`. `limits` are those of a run, as JSON."""
    # Whoever stops a service tells all of its processes; scripts may end as long as the server lets them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    world = child.World()
    be_the_first_to_go()
    become_nobody()
    die_with(server)
    instructions = filter_that_works()
    zygote = Zygote(socket.socket(fileno=control), world, Limits(**json.loads(limits)), instructions)
    gc.freeze()
    zygote.serve()


@dataclass
class Zygote:
    """Forks, kills and reaps, as the server says."""

    control: socket.socket
    world: child.World
    limits: Limits
    instructions: bytes | None
    pids: dict[int, int] = field(default_factory=dict)
    runs: dict[int, int] = field(default_factory=dict)

    def serve(self) -> None:
        woken, wakes = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with suppress(ConnectionError):  # the server has gone
            self._report(READY, int(self.instructions is not None))
            self._obey_until_the_end(woken)
        for pid in self.runs:
            os.kill(pid, signal.SIGKILL)

    def _obey_until_the_end(self, woken: int) -> None:
        control = self.control.fileno()
        is_wanted = True
        while is_wanted:
            ready, _, _ = select.select([control, woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
                self._reap()
            if control in ready:
                is_wanted = self._obey()

    def _obey(self) -> bool:
        """Take one order; False when there will be no more."""
        order, descriptors, _, _ = socket.recv_fds(self.control, ORDER.size, 1)
        if len(order) < ORDER.size:
            return False
        what, run = ORDER.unpack(order)
        if what == FORK:
            self._fork(run, descriptors[0])
        elif run in self.pids:
            os.kill(self.pids[run], signal.SIGKILL)
        return True

    def _fork(self, run: int, channel: int) -> None:
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            os.close(channel)
            self._report(run, NOT_STARTED)
            return
        if pid == 0:
            self._become_child(zygote, channel)
        os.close(channel)
        self.pids[run] = pid
        self.runs[pid] = run

    def _become_child(self, zygote: int, channel: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            die_with(zygote)
            child.run(self.world, channel, self.limits, self.instructions)
            os._exit(0)
        finally:
            os._exit(child.exit_code(sys.exception()))

    def _reap(self) -> None:
        while self.runs:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            run = self.runs.pop(pid)
            del self.pids[run]
            self._report(run, os.waitstatus_to_exitcode(status))

    def _report(self, run: int, status: int) -> None:
        self.control.sendall(ENDED.pack(run, status))
