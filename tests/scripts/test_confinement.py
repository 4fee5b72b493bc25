"""What is left to a process that runs a script: to compute, and to talk over one descriptor."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tieline
from tieline.scripts import seccomp

# Runs in a process of its own, which cannot even import anything afterwards; its answers come over the socket.
ATTEMPTS = """
import ctypes, json, mmap, os, resource, signal, socket, sys
sys.path.append(sys.argv[2])
from tieline.scripts.confinement import Limits, become_nobody, confine, die_with, filter_that_works

kept, secret = int(sys.argv[1]), os.open("/etc/hostname", os.O_RDONLY)
parent, libc = os.getppid(), ctypes.CDLL(None, use_errno=True)
become_nobody()
die_with(parent)
instructions = filter_that_works()
confine(kept, Limits(), instructions)

def attempt(action):
    try:
        action()
    except OSError as error:
        return os.strerror(error.errno)
    return "done"

def attach():
    if libc.ptrace(16, parent, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "")

def map_executable():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)

answers = {
    "filtered": instructions is not None,
    "read what was open": attempt(lambda: os.read(secret, 1)),
    "write to the terminal": attempt(lambda: os.write(1, b"x")),
    "open": attempt(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "create": attempt(lambda: os.open("/tmp/tieline-script", os.O_CREAT | os.O_WRONLY)),
    "socket": attempt(socket.socket),
    "pair": attempt(socket.socketpair),
    "fork": attempt(os.fork),
    "exec": attempt(lambda: os.execv("/bin/true", ["true"])),
    "kill": attempt(lambda: os.kill(parent, 0)),
    "trace": attempt(attach),
    "raise limits": attempt(lambda: resource.prlimit(0, resource.RLIMIT_CPU, (9, 9))),
    "executable memory": attempt(map_executable),
    "memory": attempt(lambda: mmap.mmap(-1, 4096).close()),
}
os.write(kept, json.dumps(answers).encode())
os._exit(0)
"""


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    ours, theirs = socket.socketpair()
    source = str(Path(tieline.__file__).parent.parent)
    command = [sys.executable, "-I", "-S", "-c", ATTEMPTS, str(theirs.fileno()), source]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        said: dict[str, Any] = json.loads(ours.recv(65536))
    finally:
        ours.close()
        process.wait(10)
    return said


def test_the_only_descriptor_is_its_own(answers: dict[str, Any]) -> None:
    assert answers["read what was open"] == answers["write to the terminal"] == os.strerror(9)


@pytest.mark.parametrize("attempt", ["open", "create", "socket", "pair"])
def test_it_gets_no_other_descriptor(answers: dict[str, Any], attempt: str) -> None:
    assert answers[attempt] in (os.strerror(1), os.strerror(24))


@pytest.mark.skipif(seccomp.filter_of_this_machine() is None, reason="there is no filter for this machine")
@pytest.mark.parametrize("attempt", ["fork", "exec", "kill", "raise limits", "executable memory", "trace"])
def test_it_can_do_nothing_to_others_nor_for_itself(answers: dict[str, Any], attempt: str) -> None:
    assert answers["filtered"]
    assert answers[attempt] == os.strerror(1)


def test_it_can_compute(answers: dict[str, Any]) -> None:
    assert answers["memory"] == "done"


def test_the_filters_of_both_processors_are_well_formed() -> None:
    for machine in seccomp.MACHINES.values():
        instructions = seccomp.program(machine)
        assert len(instructions) % 8 == 0
        # Ends by refusing, whatever has not been allowed before.
        assert instructions[-8:] == b"\x06\x00\x00\x00\x01\x00\x05\x00"
        assert len(machine.calls) == len(set(machine.calls.values()))
    x86, arm = (each.calls.keys() for each in seccomp.MACHINES.values())
    assert x86 == arm
