"""How two processes talk over a socket: a length in four bytes, and so many bytes of JSON."""

import struct
from typing import Final

HEAD: Final = struct.Struct("!I")
# The largest frame that a script's process may send, in bytes.
LARGEST: Final = 2 * 1024 * 1024

# From the server to the zygote: what to do (FORK, with the child's end of a socket, or KILL), and the run it is for.
ORDER: Final = struct.Struct("!cQ")
FORK: Final = b"F"
KILL: Final = b"K"
# From the zygote to the server: a run, and how its process ended, as `os.waitstatus_to_exitcode` says it.
ENDED: Final = struct.Struct("!Qq")
# The first report is about no run: whether the kernel keeps scripts from making system calls.
READY: Final = 0
# How a process "ended" that could not be started.
NOT_STARTED: Final = 1000
# The exit code of a process that had not even the memory to say that there was none.
NO_MEMORY: Final = 70
# The engine gives all code one name. Code that is not the script's begins at this line, so that stacks tell it apart.
OUR_LINES: Final = 1_000_000
