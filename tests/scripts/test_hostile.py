"""Scripts that mean harm: each ends in its own failure and within its limits, and the next one runs as ever."""

import time
from typing import Final

import pytest

from tests.scripts.conftest import SHORT, Desk

# How it must end: a part of the sentence, or nothing when it comes to its end.
PROCESSOR: Final = "it had used 0.15 s of the processor"
MEMORY: Final = "it needed more than 64 MiB of memory"
EITHER: Final = "The script was stopped"
FAILED: Final = "The script failed"
TOO_DEEP: Final = "Maximum call stack size exceeded"

ATTACKS: Final = {
    "a loop": ("for (;;) {}", PROCESSOR),
    "a loop that catches": ("for (;;) { try { for (;;) {} } catch {} }", PROCESSOR),
    "a regular expression": ("/^(a+)+$/.test('a'.repeat(40) + 'b')", PROCESSOR),
    "a loop of calls": ("const s = require('storage'); for (;;) { try { s.get('a') } catch {} }", EITHER),
    "endless microtasks": ("const f = () => Promise.resolve().then(f); f()", PROCESSOR),
    "an endless async loop": ("(async () => { for (;;) await null })()", PROCESSOR),
    "arrays": ("const a = []; for (;;) a.push(new Array(1000).fill(1))", EITHER),
    "memory, caught": ("const a = []; for (;;) { try { a.push(new Array(9999).fill(1)) } catch {} }", PROCESSOR),
    "typed arrays": ("const a = []; for (;;) a.push(new Uint8Array(1 << 20))", MEMORY),
    "doubled strings": ("let s = 'x'; for (;;) s += s", "string too long"),
    "recursion": ("function f() { return f() + 1 }; f()", TOO_DEEP),
    "generators": ("function* g() { yield* g() }; [...g()]", TOO_DEEP),
    "deep JSON written": ("let a = []; for (let i = 0; i < 1e6; i++) a = [a]; JSON.stringify(a)", "The script"),
    "deep JSON read": ("JSON.parse('['.repeat(1e6))", TOO_DEEP),
    "deep JSON logged": ("let a = []; for (let i = 0; i < 1e5; i++) a = [a]; console.log(a)", ""),
    "replacing much": ("'x'.repeat(30e6).replaceAll('x', 'yy')", EITHER),
    "sorting much": ("Array.from({ length: 3e6 }, (_, i) => -i).sort()", EITHER),
    "large numbers": ("let b = 3n; for (;;) b = b * b", "The script"),
    "a huge line": ("console.log('x'.repeat(5e6))", ""),
    "endless lines": ("for (;;) console.log('y')", PROCESSOR),
    "a huge request": ("fetch('http://127.0.0.1/', { method: 'POST', body: 'x'.repeat(3e6) })", "more than the 2 MiB"),
    "a huge value": ("require('storage').set('k', 'x'.repeat(3e6))", "more than the 2 MiB"),
    "an error that loops": ("throw { toString() { for (;;) {} } }", PROCESSOR),
    "an error that throws": ("throw { toString() { throw this } }", "it threw something that cannot be shown"),
    "an error with a stack that loops": (
        "throw Object.defineProperty(new Error('x'), 'stack', { get() { for (;;) {} } })",
        PROCESSOR,
    ),
    "a symbol": ("throw Symbol('x')", "it threw something that cannot be shown"),
    "half a character": ("throw new Error('\\ud800')", FAILED),
    "a result that is no text": ("'\\ud800'", ""),
    "a result that is no number": ("10n ** 30n", ""),
    "waiting": ("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)", "cannot block"),
    "digests": ("for (;;) crypto.createHmac('md5', 'k').update('x'.repeat(1e6)).digest()", PROCESSOR),
    "modules": ("import('os')", "could not load module"),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_it_ends_and_the_next_one_runs(desk: Desk, name: str) -> None:
    source, expected = ATTACKS[name]
    began = time.monotonic()
    ran = await desk.run(source)
    # The processor's seconds are longer on the clock of a busy machine.
    assert time.monotonic() - began < SHORT.seconds + 3
    assert (ran.receipt.verdict, ran.receipt.error) == (("refused", "script") if expected else ("delivered", None))
    assert expected in ran.receipt.sentence
    assert len(ran.notes.text) < 2_000_000
    assert await desk.lines("console.log('as ever')") == ["as ever"]


async def test_lines_that_were_written_before_the_end_are_kept(desk: Desk) -> None:
    ran = await desk.run("console.log('begun'); for (;;) {}")
    assert ran.lines == ["begun"]


async def test_no_more_than_so_many_lines(desk: Desk) -> None:
    ran = await desk.run("for (let i = 0; i < 3000; i++) console.log(i)")
    assert len(ran.lines) == SHORT.log_lines
    assert ran.lines[-1] == "(This is all that a script may write. What follows is left out.)"


async def test_no_more_than_so_many_requests(desk: Desk) -> None:
    source = """
        for (let i = 0; ; i++) {
          try { require("storage").get("a"); } catch (error) { console.log(i, error.message); break; }
        }
    """
    (line,) = await desk.lines(source)
    assert line == f"{SHORT.calls} get: the script has asked for all that one run may ask for"


async def test_whoever_changes_the_prototypes_harms_nobody_but_himself(desk: Desk) -> None:
    source = f"""
        Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => {{ throw 1 }};
        JSON.stringify = () => '{{"do":"done"}}';
        JSON.parse = () => ({{ value: "forged" }});
        Array.prototype.toString = () => "forged";
        Object.prototype.toJSON = () => ({{ do: "done" }});
        Object.prototype.do = "failed";
        Object.prototype.error = "forged";
        String.prototype.slice = String.prototype.toUpperCase = () => "forged";
        Promise.prototype.then = () => {{}};
        console.log("line", {{ do: "done" }}.do);
        require("storage").set("forged", "no");
        console.log(require("storage").get("forged"), fetch("{desk.receiver.url}/forged").status);
    """
    lines = [line for line in await desk.lines(source) if " after " not in line]
    assert lines == ["line done", "no 200"]


async def test_nothing_of_the_bridge_is_left_to_find(desk: Desk) -> None:
    source = """
        const known = /^(__|process|std|os$|scriptArgs|print|load|Deno|python|global$)/;
        console.log(Object.getOwnPropertyNames(globalThis).filter((name) => known.test(name)));
        console.log(typeof Function("return this")().__host, fetch.constructor === Function);
    """
    assert await desk.lines(source) == ["[]", "undefined true"]
