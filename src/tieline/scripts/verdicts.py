"""How a script ended, in words. Pure."""

import re
import signal
from typing import Final

from tieline.core.ports import ScriptEnd
from tieline.scripts.confinement import Limits
from tieline.scripts.frames import NO_MEMORY, OUR_LINES
from tieline.scripts.messages import Failed

_TIMERS: Final = (-signal.SIGPROF, -signal.SIGXCPU)
_CRASHES: Final = (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGILL, -signal.SIGFPE, -signal.SIGSYS)
_FRAME: Final = re.compile(r"^    at .*<input>:(\d+)")
_OUR_EVAL: Final = ("    at eval (native)",)
_NAMELESS: Final = {
    "null": "it threw null, or had no memory left for an error",
    "(Failed obtaining QuickJS error string. Concurrency issue?)": "it threw something that cannot be shown",
}
_FATES: Final = {None: "was lost", -signal.SIGKILL: "was killed"}
_PLACE: Final = re.compile(r"script\.js:(\d+)")


def of_failure(failed: Failed, limits: Limits) -> ScriptEnd:
    """The script threw something, or had no memory left."""
    stack = _own_lines(failed.error)
    if failed.out_of_memory:
        return ScriptEnd("memory", _memory(limits), stack)
    message, _, _ = stack.partition("\n")
    return ScriptEnd("exception", f"The script failed: {message}", stack)


def of_exit(code: int | None, limits: Limits) -> ScriptEnd:
    """The process ended before it had said how the script went; without a code, nobody saw how."""
    if code in _TIMERS:
        return ScriptEnd(
            "time", f"The script was stopped: it had used {limits.processor_seconds:g} s of the processor."
        )
    if code == NO_MEMORY:
        return ScriptEnd("memory", _memory(limits))
    if code in _CRASHES:
        name = signal.Signals(-code).name
        return ScriptEnd("crash", f"The script was stopped: it made its engine crash ({name}).")
    return ScriptEnd("lost", f"The process of the script {_FATES.get(code, 'failed')} before the script had ended.")


def of_time(limits: Limits) -> ScriptEnd:
    return ScriptEnd("time", f"The script was stopped: it had run for {limits.seconds:g} s.")


def of_nonsense() -> ScriptEnd:
    return ScriptEnd("crash", "The script was stopped: it made its engine say what no engine says.")


def problem_of(end: ScriptEnd) -> str:
    """Why something is not a script, by how the attempt to parse it ended; empty when it is one."""
    if end.error != "exception":
        return end.sentence
    place = _PLACE.search(end.stack)
    message = end.stack.partition("\n")[0].removesuffix(".")
    return f"Line {place[1]}: {message}." if place else f"{message}."


def _memory(limits: Limits) -> str:
    return f"The script was stopped: it needed more than {limits.engine_bytes >> 20} MiB of memory."


def _own_lines(error: str) -> str:
    """What was thrown, and where in the script."""
    lines = error.removesuffix("\nundefined").strip().split("\n")
    shown = "\n".join(line for line in lines if not _is_ours(line)).replace("<input>", "script.js")
    return _NAMELESS.get(shown, shown)


def _is_ours(line: str) -> bool:
    if line in _OUR_EVAL:
        return True
    place = _FRAME.search(line)
    return place is not None and int(place[1]) >= OUR_LINES
