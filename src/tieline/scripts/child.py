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
from tieline.scripts.frames import HEAD, LARGEST, NO_MEMORY

_BROKEN: Final = 71

_FOLDER: Final = Path(__file__).parent
_ASKED: Final = frozenset({"log", "fetch", "get", "set", "remove", "clear"})
_UNANSWERED: Final = frozenset({"log"})
_LONGEST_ERROR: Final = 8 * 1024
_OUT_OF_MEMORY: Final = "out of memory"


def exit_code(error: BaseException | None) -> int:
    """How a process ends that could not say how its script went."""
    return NO_MEMORY if isinstance(error, MemoryError) else _BROKEN


class Channel:
    """The end of the socket that the process itself has."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, message: Mapping[str, Any]) -> None:
        """Raises `OverflowError` when it is too large, and `OSError` when the server has gone."""
        data = json.dumps(message).encode()
        if len(data) > LARGEST:
            raise OverflowError
        rest = memoryview(HEAD.pack(len(data)) + data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def receive(self) -> Any:
        """The next message. Raises `EOFError` when the server has gone."""
        (length,) = HEAD.unpack(self._read(HEAD.size))
        return json.loads(self._read(length))

    def _read(self, length: int) -> bytes:
        parts = []
        while length:
            part = os.read(self._descriptor, min(length, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


class Host:
    """What the script's world asks of Python: a name and JSON in, JSON out. What is raised is not for the script."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._digests: set[str] = set()

    def __call__(self, name: str, given: str) -> str:
        return json.dumps(self._answer(name, json.loads(given)))

    def _answer(self, name: str, given: Any) -> Any:
        if name == "random":
            return {"value": random.SystemRandom().random()}
        if name == "hmac":
            return {"value": self._hmac(**given)}
        if name not in _ASKED:
            raise ValueError(name)
        return self._ask_server(name, given)

    def _ask_server(self, name: str, given: Any) -> Any:
        try:
            self._channel.send({**given, "do": name})
            return {"value": None} if name in _UNANSWERED else self._channel.receive()
        except OverflowError:
            return {"error": f"{name}: this is more than the {LARGEST >> 20} MiB that can be handed over"}
        except (EOFError, OSError):
            os._exit(_BROKEN)

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
        self.context.eval((_FOLDER / "vendor" / "underscore-umd-min.js").read_text())
        self.context.eval((_FOLDER / "world.js").read_text())
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
    channel.send(_outcome(world, channel, channel.receive()))


def _outcome(world: World, channel: Channel, order: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        if order["do"] == "parse":
            world.parse(order["source"])
        else:
            world.host = Host(channel)
            world.run(order["source"], order["world"])
    except _quickjs.JSException as error:
        return _failure(str(error))
    except MemoryError:
        return _failure(_OUT_OF_MEMORY)
    except Exception as error:  # noqa: BLE001 - what cannot be put in words of Python is the script's failure as well
        return _failure(f"{type(error).__name__}: {error}")
    return {"do": "done"}


def _failure(text: str) -> Mapping[str, Any]:
    return {"do": "failed", "out_of_memory": _OUT_OF_MEMORY in text.split("\n", 1)[0], "error": text[:_LONGEST_ERROR]}
