"""What a fork does: read what to run, run it in an engine, say how it went. Only its host can do anything for it."""

import binascii
import hmac
import json
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import _quickjs

from tieline.scripts.confinement import Limits, confine
from tieline.scripts.frames import HEAD, LARGEST, NO_MEMORY, OUR_LINES

_BROKEN: Final = 71

_FOLDER: Final = Path(__file__).parent
_ASKED: Final = frozenset({"fetch", "get", "set", "remove", "clear"})
_LOG_IS_FULL: Final = "(This is all that a script may write. What follows is left out.)"
_LONGEST_ERROR: Final = 8 * 1024
_OUT_OF_MEMORY: Final = "InternalError: out of memory"


def exit_code(error: BaseException | None) -> int:
    """How a process ends that could not say how its script went."""
    return NO_MEMORY if isinstance(error, MemoryError) else _BROKEN


class Channel:
    """The end of the socket that the process itself has. Without the server there is nothing to go on for."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, message: Mapping[str, Any]) -> None:
        """Raises `OverflowError` when it is too large."""
        data = json.dumps(message).encode()
        if len(data) > LARGEST:
            raise OverflowError
        rest = memoryview(HEAD.pack(len(data)) + data)
        while rest:
            rest = rest[self._write(rest) :]

    def receive(self) -> Any:
        """The next message."""
        (length,) = HEAD.unpack(self._read(HEAD.size))
        return json.loads(self._read(length))

    def _write(self, data: memoryview) -> int:
        try:
            return os.write(self._descriptor, data)
        except OSError:
            os._exit(_BROKEN)

    def _read(self, length: int) -> bytes:
        parts = []
        while length:
            part = os.read(self._descriptor, min(length, 1 << 20))
            if not part:
                os._exit(_BROKEN)
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


class Host:
    """What the script's world asks of Python: a name and JSON in, JSON out. What is raised is not for the script."""

    def __init__(self, channel: Channel, limits: Limits) -> None:
        self._channel = channel
        self._calls = limits.calls
        self._lines = limits.log_lines
        self._characters = limits.log_characters
        self._digests: set[str] = set()

    def __call__(self, name: str, given: str) -> str:
        return json.dumps({"value": None, "error": None, **self._answer(name, json.loads(given))})

    def _answer(self, name: str, given: Any) -> Any:
        if name == "random":
            return {"value": random.SystemRandom().random()}
        if name == "hmac":
            return {"value": self._hmac(**given)}
        if name == "log":
            self._log(given["text"])
            return {}
        if name in _ASKED:
            return self._ask_server(name, given)
        raise ValueError(name)

    def _log(self, text: str) -> None:
        if self._lines <= 0 or self._characters <= 0:
            return
        self._lines -= 1
        self._characters -= len(text)
        has_room = self._lines > 0 and self._characters > 0
        self._send("log", {"text": text if has_room else _LOG_IS_FULL})

    def _ask_server(self, name: str, given: Any) -> Any:
        self._calls -= 1
        if self._calls < 0:
            return {"error": f"{name}: the script has asked for all that one run may ask for"}
        try:
            self._send(name, given)
            return self._channel.receive()
        except OverflowError:
            return {"error": f"{name}: this is more than the {LARGEST >> 20} MiB that can be handed over"}

    def _send(self, name: str, given: Any) -> None:
        self._channel.send({**given, "do": name})

    def _hmac(self, algorithm: str, key: str, parts: list[str], encoding: str) -> str:
        code = hmac.new(_key(key), digestmod=algorithm)
        for part in parts:
            code.update(self._data(part))
        if encoding == "hex":
            return code.hexdigest()
        digest = code.digest()
        if encoding == "base64":
            return binascii.b2a_base64(digest, newline=False).decode()
        text = digest.decode("latin-1")
        self._digests.add(text)
        return text

    def _data(self, text: str) -> bytes:
        """A digest stands for its bytes; other text is signed as it is sent, in UTF-8."""
        return text.encode("latin-1" if text in self._digests else "utf-8")


def _key(text: str) -> bytes:
    """Digests, and what `atob` makes, are bytes in a string."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


class World:
    """An engine with everything in it that scripts find, before the first is run."""

    def __init__(self) -> None:
        self.context = _quickjs.Context()
        self.host: Callable[[str, str], str] | None = None
        self.context.add_callable("__host", self._ask)
        for name in ("vendor/underscore-umd-min.js", "world.js"):
            self.context.eval("\n" * OUR_LINES + (_FOLDER / name).read_text(encoding="utf-8"))
        self._take("__run", "__finish", "__parse")
        self._warm_up()

    def _take(self, *names: str) -> None:
        self._functions = {name: self.context.get(name) for name in names}
        for name in names:
            self.context.eval(f"delete globalThis.{name}")

    def _warm_up(self) -> None:
        """Have loaded now what could not be later, for want of files."""
        for algorithm in ("sha256", "sha1", "md5"):
            hmac.new(b"", digestmod=algorithm).hexdigest()
        json.loads(json.dumps("\ud800"))
        random.SystemRandom().random()

    def _ask(self, name: str, given: str) -> str:
        if self.host is None:
            raise ValueError(name)
        return self.host(name, given)

    def run(self, source: str, world: str) -> None:
        """Run a script to its end, promises included. Raises `_quickjs.JSException`."""
        self._functions["__run"](source, world)
        while self.context.execute_pending_job():
            pass
        self._functions["__finish"]()

    def parse(self, source: str) -> None:
        """Raises `_quickjs.JSException` when it is not JavaScript."""
        self._functions["__parse"](source)


def run(world: World, descriptor: int, limits: Limits, instructions: bytes | None) -> None:
    """Do the one thing that the server asks for over `descriptor`."""
    confine(descriptor, limits, instructions)
    world.context.set_memory_limit(limits.engine_bytes)
    world.context.set_max_stack_size(limits.stack_bytes)
    channel = Channel(descriptor)
    channel.send(_outcome(world, Host(channel, limits), channel.receive()))


def _outcome(world: World, host: Host, order: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        if order["do"] == "parse":
            world.parse(order["source"])
        else:
            world.host = host
            world.run(order["source"], order["world"])
    except _quickjs.JSException as error:
        return _failure(str(error))
    except MemoryError:
        return _failure(_OUT_OF_MEMORY)
    except Exception as error:  # noqa: BLE001 - what cannot be put in words of Python is the script's failure as well
        return _failure(f"{type(error).__name__}: {error}")
    return {"do": "done"}


def _failure(text: str) -> Mapping[str, Any]:
    return {"do": "failed", "out_of_memory": text.startswith(_OUT_OF_MEMORY), "error": text[:_LONGEST_ERROR]}
