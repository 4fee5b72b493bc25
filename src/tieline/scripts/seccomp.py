"""A filter of system calls for a process that computes, and talks over one descriptor that it has already.

What is not on the list fails with EPERM, as does memory that can be executed.
Sources: `seccomp(2)`, `linux/filter.h`, `linux/seccomp.h`, `asm/unistd.h` of both processors.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUALS: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_HAS_BITS: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EPERM
_KILL: Final = 0x80000000

# Where `struct seccomp_data` has them, on a little-endian machine.
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_THIRD_ARGUMENT: Final = 32

_PROT_EXEC: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2

# Those of them whose third argument says how memory may be used.
_PROTECTING: Final = ("mmap", "mprotect")


@dataclass(frozen=True)
class Machine:
    """A processor: how the kernel calls it, and the numbers of the calls that are allowed."""

    audit: int
    calls: Mapping[str, int]


MACHINES: Final = {
    "x86_64": Machine(
        0xC000003E,
        {
            "read": 0,
            "write": 1,
            "close": 3,
            "mmap": 9,
            "mprotect": 10,
            "munmap": 11,
            "brk": 12,
            "rt_sigreturn": 15,
            "sched_yield": 24,
            "mremap": 25,
            "madvise": 28,
            "getpid": 39,
            "exit": 60,
            "gettimeofday": 96,
            "getrusage": 98,
            "times": 100,
            "futex": 202,
            "restart_syscall": 219,
            "clock_gettime": 228,
            "exit_group": 231,
            "getrandom": 318,
        },
    ),
    "aarch64": Machine(
        0xC00000B7,
        {
            "read": 63,
            "write": 64,
            "close": 57,
            "mmap": 222,
            "mprotect": 226,
            "munmap": 215,
            "brk": 214,
            "rt_sigreturn": 139,
            "sched_yield": 124,
            "mremap": 216,
            "madvise": 233,
            "getpid": 172,
            "exit": 93,
            "gettimeofday": 169,
            "getrusage": 165,
            "times": 153,
            "futex": 98,
            "restart_syscall": 128,
            "clock_gettime": 113,
            "exit_group": 94,
            "getrandom": 278,
        },
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def filter_of_this_machine() -> bytes | None:
    """The program to install here; None where it is not known. Pure but for the question which machine this is."""
    machine = MACHINES.get(platform.machine()) if sys.platform == "linux" else None
    return program(machine) if machine else None


def program(machine: Machine) -> bytes:
    """The filter as the kernel reads it. Pure."""
    return b"".join(
        [
            _instruction(_LOAD, _ARCHITECTURE),
            _instruction(_EQUALS, machine.audit, if_so=1),
            _instruction(_RETURN, _KILL),
            _instruction(_LOAD, _NUMBER),
            *_allowed(machine.calls),
            _instruction(_RETURN, _REFUSE),
        ]
    )


def install(instructions: bytes) -> None:
    """Have the kernel filter what this process calls from now on. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    # A count, and the address of the instructions, of eight bytes each.
    description = _Program(len(instructions) // 8, instructions)
    _must(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _must(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(description), 0, 0))


def _must(answer: int) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _allowed(calls: Mapping[str, int]) -> Iterable[bytes]:
    for name, number in calls.items():
        if name in _PROTECTING:
            yield _instruction(_EQUALS, number, otherwise=4)
            yield _instruction(_LOAD, _THIRD_ARGUMENT)
            yield _instruction(_HAS_BITS, _PROT_EXEC, otherwise=1)
            yield _instruction(_RETURN, _REFUSE)
        else:
            yield _instruction(_EQUALS, number, otherwise=1)
        yield _instruction(_RETURN, _ALLOW)


def _instruction(code: int, value: int, *, if_so: int = 0, otherwise: int = 0) -> bytes:
    """`if_so` and `otherwise` are how many instructions are left out then."""
    return struct.pack("=HBBI", code, if_so, otherwise, value)
