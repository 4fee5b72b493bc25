"""The world that scripts find: what the vendor's guide documents, used as its examples use it."""

import hashlib
import hmac
import json
import re
from base64 import b64encode
from pathlib import Path

from tests.scripts.conftest import ACTIVITY, Desk
from tieline.simulators.receiver import Behaviour

MESSENGER = """
function tell(title, message) {
  const url = "%s/hooks/T0/B0/secret";
  const heading = title + (new Date().getDay() === 5) ? " (On a Friday! :calendar:)" : "";
  const color = activity.result === "success" ? "#66c000" : "#ff0000";
  const resp = fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ attachments: [{ title: heading, text: message, color: color }] }),
  });
  if (!resp.ok) {
    console.log("The message was not taken: " + resp.body.text());
  }
}

tell(activity.text, activity.log);
"""


async def test_a_message_to_a_chat(desk: Desk) -> None:
    ran = await desk.run(MESSENGER % desk.receiver.url)
    arrival = desk.receiver.at("/hooks/T0/B0/secret")[-1]
    assert (ran.receipt.verdict, arrival.method, arrival.headers["content-type"]) == (
        "delivered",
        "POST",
        "application/json",
    )
    (attachment,) = arrival.document()["attachments"]
    assert (attachment["text"], attachment["color"]) == (ACTIVITY["log"], "#66c000")
    # Where it went is in the log, and nothing of the path, which is a secret of such services.
    (line,) = ran.lines
    assert line.startswith(f"POST {desk.receiver.url}: 200 OK after ")


async def test_a_message_that_is_not_taken(desk: Desk) -> None:
    desk.receiver.behave("/hooks/T0/B0/secret", Behaviour(404, "no_team"))
    ran = await desk.run(MESSENGER % desk.receiver.url)
    desk.receiver.behave("/hooks/T0/B0/secret")
    assert ran.receipt.verdict == "delivered"
    assert ran.lines[-1] == "The message was not taken: no_team"


async def test_requests_and_their_answers(desk: Desk) -> None:
    desk.receiver.behave("/made", Behaviour(201, '{"id": 7}'))
    desk.receiver.behave("/moved", Behaviour(302, "", location="http://elsewhere.example/"))
    source = f"""
        const [made, moved] = [fetch("{desk.receiver.url}/made", {{
          method: "put", headers: [["X-One", 1]], body: "caf\\u00e9",
        }}), fetch("{desk.receiver.url}/moved")];
        console.log(made.ok, made.status, made.statusText, made.json().id, made.body.json().id, made.text());
        console.log(made.headers.get("Content-Type"), made.headers.has("x-none"));
        console.log(moved.ok, moved.status, moved.headers.get("location"), typeof moved.text());
        try {{ moved.json(); }} catch (error) {{ console.log(error.name); }}
    """
    lines = [line for line in await desk.lines(source) if " after " not in line]
    assert lines == [
        'true 201 Created 7 7 {"id": 7}',
        "application/json false",
        "false 302 http://elsewhere.example/ string",
        "SyntaxError",
    ]
    put, get = desk.receiver.at("/made")[-1], desk.receiver.at("/moved")[-1]
    assert (put.method, put.headers["x-one"], put.body) == ("PUT", "1", "café".encode())
    assert put.headers["content-type"] == "text/plain;charset=UTF-8"
    assert (get.method, get.body, "content-type" in get.headers) == ("GET", b"", False)


async def test_what_cannot_be_sent_is_an_exception_that_can_be_caught(desk: Desk) -> None:
    attempts = ['"http://10.0.0.1/"', '"ftp://127.0.0.1/"', '"nonsense"', '"http://127.0.0.1:1/"']
    attempts += [f'"{desk.receiver.url}/", {{method: "CONNECT"}}', f'"{desk.receiver.url}/", {{body: "x"}}']
    attempts += [f'"{desk.receiver.url}/", {{headers: {{"a b": "c"}}}}']
    source = "\n".join(
        f"try {{ fetch({each}) }} catch (e) {{ console.log('>', e instanceof Error, e.message) }}" for each in attempts
    )
    lines = [line for line in await desk.lines(source) if line.startswith(">")]
    assert len(lines) == len(attempts)
    assert all(line.startswith("> true ") for line in lines)
    assert "10.0.0.1" in lines[0]


async def test_answers_that_are_too_large_or_never_come(desk: Desk) -> None:
    desk.receiver.behave("/large", Behaviour(size=5 << 20))
    desk.receiver.behave("/silent", Behaviour(hang=True))
    source = "\n".join(
        f"try {{ fetch('{desk.receiver.url}/{path}') }} catch (e) {{ console.log(e.message) }}"
        for path in ("large", "silent")
    )
    ran = await desk.run(source, fetch_seconds=0.3)
    assert ran.receipt.verdict == "delivered"
    assert [line for line in ran.lines if "4194304" in line]
    assert ran.lines[-1] == f"{desk.receiver.url} did not answer in full within 0.3 s."


async def test_no_script_frames_requests_itself(desk: Desk) -> None:
    headers = '{"Content-Length": "3", "transfer-encoding": "chunked", "Host": "other.example", "X-Kept": "yes"}'
    await desk.lines(f'fetch("{desk.receiver.url}/framed", {{method: "POST", headers: {headers}, body: "body"}})')
    arrival = desk.receiver.at("/framed")[-1]
    assert (arrival.body, arrival.headers["x-kept"]) == (b"body", "yes")
    assert arrival.headers["host"] == desk.receiver.url.removeprefix("http://")
    assert "transfer-encoding" not in arrival.headers


async def test_storage_keeps_from_one_run_to_the_next(desk: Desk) -> None:
    counting = """
        var storage = require("storage");
        var counter = storage.get("counter") || 0;
        if (counter) console.log("Counter is: " + counter);
        storage.set("counter", counter + 1);
    """
    assert await desk.lines(counting) == []
    assert await desk.lines(counting) == ["Counter is: 1"]
    assert await desk.lines(counting) == ["Counter is: 11"]
    end = """
        var storage = require("storage");
        storage.remove("counter");
        storage.set("other", {});
        console.log(storage.get("counter"), storage.get("other"), storage.get("\\0"));
        storage.clear();
        console.log(storage.get("other"));
    """
    assert await desk.lines(end) == ["null [object Object] null", "null"]


async def test_storage_has_limits_and_says_which(desk: Desk) -> None:
    source = """
        const storage = require("storage");
        const attempt = (action) => { try { action(); } catch (error) { console.log(error.message); } };
        attempt(() => storage.set("large", "x".repeat(65537)));
        attempt(() => storage.set("k".repeat(256), ""));
        attempt(() => storage.set("nul", "\\0"));
    """
    large, key, nul = await desk.lines(source)
    assert "'large' has 65537 characters; 65536 are allowed" in large
    assert "a key of 256 characters is too long; 255 are allowed" in key
    assert "NUL" in nul
    await desk.fill_storage(999)
    rest = """
        const storage = require("storage");
        storage.set("the last", "");
        storage.set("key 1", "changed");
        try { storage.set("one too many", ""); } catch (error) { console.log(error.message); }
        console.log(storage.get("key 1"), storage.get("one too many"));
        storage.clear();
    """
    many, kept = await desk.lines(rest)
    assert "there are 1000 keys already" in many
    assert kept == "changed null"


async def test_signatures(desk: Desk) -> None:
    source = """
        var h = crypto.createHmac("sha256", "foo");
        h.update("bar");
        console.log(h.digest("hex"));
        console.log(crypto.createHmac("sha1", "foo").update("b").update("ar").digest("base64"));
        console.log(crypto.createHmac("md5", "key").update("caf\\u00e9 \\u20ac").digest("hex"));
        try { crypto.createHmac("sha512", ""); } catch (error) { console.log(error.message); }
        try { h.digest("binary"); } catch (error) { console.log(error.message); }
    """
    assert await desk.lines(source) == [
        hmac.new(b"foo", b"bar", "sha256").hexdigest(),
        b64encode(hmac.new(b"foo", b"bar", "sha1").digest()).decode(),
        hmac.new(b"key", "café €".encode(), "md5").hexdigest(),
        'crypto.createHmac: "sha512" is not known, only sha256, sha1, md5 are',
        'digest: "binary" is not known, only hex, base64 and "" are',
    ]


async def test_signatures_that_sign_with_signatures(desk: Desk) -> None:
    """The key of a request to AWS, derived step by step, as its documentation does."""
    source = """
        function HMAC(key, value) {
          var h = crypto.createHmac("sha256", key);
          h.update(value);
          return h.digest();
        }
        const secret = "AWS4" + "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        const key = HMAC(HMAC(HMAC(HMAC(secret, "20250830"), "us-east-1"), "iam"), "aws4_request");
        console.log(crypto.createHmac("sha256", key).update("x").digest("hex"));
        console.log(crypto.createHmac("sha256", atob("/9j+")).update(key).digest("hex"));
    """
    key = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    for part in (b"20250830", b"us-east-1", b"iam", b"aws4_request"):
        key = hmac.new(key, part, hashlib.sha256).digest()
    assert await desk.lines(source) == [
        hmac.new(key, b"x", "sha256").hexdigest(),
        hmac.new(b"\xff\xd8\xfe", key, "sha256").hexdigest(),
    ]


async def test_underscore_and_the_language(desk: Desk) -> None:
    source = """
        console.log(_.VERSION, _.chain([3, 1, 2]).sortBy().reverse().value(), _.groupBy(["a", "bb"], "length"));
        class Point { #x = 1; get x() { return this.#x; } }
        let missing = null;
        missing ??= "a-b-c".replaceAll("-", "");
        console.log(new Point().x, missing, 1_000, project?.none?.at, 2n ** 64n);
    """
    assert await desk.lines(source) == [
        '1.13.8 [3,2,1] {"1":["a"],"2":["bb"]}',
        "1 abc 1000 undefined 18446744073709551616",
    ]


async def test_routes_of_a_deployment(desk: Desk) -> None:
    source = """
        const routes = Object.entries(activity.payload.deployment.routes);
        const upstreams = routes.reduce(
          (found, [url, route]) => (route.type === "upstream" ? { ...found, [url]: { ...route, url } } : found), {});
        const { url } = routes.map(([url, route]) => ({ ...route, url })).find(({ primary }) => primary);
        console.log(Object.keys(upstreams), url, project.title);
    """
    assert await desk.lines(source) == ['["https://main.example/"] https://main.example/ Demo']


async def test_variables(desk: Desk) -> None:
    await desk.give("channel", "#deployments")
    await desk.give("people", '["ann", 5]', is_json=True)
    await desk.give("token", "hunter2-hunter2", is_sensitive=True)
    await desk.give("accounts", '{"shop": {"password": "correct horse"}}', is_json=True, is_sensitive=True)
    source = """
        console.log(variables.channel, variables.people, Object.keys(variables).length);
        console.log("the token is " + variables.token, variables.accounts.shop.password);
        throw new Error("not taken: " + variables.token);
    """
    ran = await desk.run(source)
    assert ran.lines[:2] == ['#deployments ["ann",5] 4', "the token is ******** ********"]
    assert ran.receipt.sentence == "The script failed: Error: not taken: ********"
    assert "hunter2" not in ran.notes.text


async def test_what_is_written(desk: Desk) -> None:
    source = r"""
        console.log();
        console.info("one", 2, null, undefined, true, 3n, Symbol("s"), () => 1, "\ud800");
        console.warn({ a: [1, { b: null }] }, new Error("e").message, new Date(0));
        const circle = {}; circle.self = circle;
        console.error(circle, "two\nlines");
        console.log("x".repeat(70000));
    """
    empty, plain, objects, circle, second, long = await desk.lines(source)
    assert (empty, plain) == ("", "one 2 null undefined true 3 Symbol(s) () => 1 \ufffd")
    assert objects == '{"a":[1,{"b":null}]} e "1970-01-01T00:00:00.000Z"'
    assert (circle, second) == ("[object Object] two", "lines")
    assert long == "x" * 65536 + " ... (cut)"


async def test_the_order_of_lines_and_requests_is_kept(desk: Desk) -> None:
    source = f"""
        console.log("before");
        const answers = [1, 2, 3].map((number) => fetch("{desk.receiver.url}/order?" + number).status);
        console.log("after", answers);
    """
    lines = await desk.lines(source)
    assert [line.partition(" ")[0] for line in lines] == ["before", "GET", "GET", "GET", "after"]
    assert [each.path for each in desk.receiver.arrivals[-3:]] == [f"/order?{number}" for number in (1, 2, 3)]


async def test_asynchronous_functions_are_run_to_their_end(desk: Desk) -> None:
    source = "(async () => { await null; console.log('later'); await 1; throw new Error('late'); })()"
    ran = await desk.run(source)
    assert ran.lines[0] == "later"
    assert ran.receipt.sentence == "The script failed: Error: late"


async def test_no_two_runs_draw_the_same_numbers(desk: Desk) -> None:
    drawn = [float((await desk.lines("console.log(Math.random())"))[0]) for _ in range(3)]
    assert len(set(drawn)) == 3
    assert all(0 <= number < 1 for number in drawn)


async def test_each_run_begins_anew(desk: Desk) -> None:
    await desk.lines("globalThis.left = 1; Array.prototype.left = 2; _.left = 3;")
    assert await desk.lines("console.log(typeof left, [].left, _.left)") == ["undefined undefined undefined"]


async def test_a_large_activity(desk: Desk) -> None:
    log = "line of the log \u20ac\n" * 15_000
    ran = await desk.run("console.log(activity.log.length)", {**ACTIVITY, "log": log})
    assert ran.lines == [str(len(log))]
    assert len(json.dumps(log)) > 256 * 1024


async def test_the_example_of_the_guide(desk: Desk) -> None:
    page = (Path(__file__).parents[2] / "docs" / "activity-scripts.md").read_text()
    (example,) = re.findall(r"```javascript\n(.*?)```", page, re.DOTALL)
    await desk.give("CHAT_URL", f"{desk.receiver.url}/chat")
    await desk.give("CHAT_KEY", "key of the chat", is_sensitive=True)
    for _ in range(2):
        await desk.run(example, {**ACTIVITY, "result": "failure"})
    told = desk.receiver.at("/chat")
    assert told[-1].document() == {"text": f"{ACTIVITY['text']} (failed 2 times in a row)"}
    assert told[-1].headers["x-signature"] == hmac.new(b"key of the chat", told[-1].body, "sha256").hexdigest()
    await desk.run(example)
    assert await desk.lines("console.log(require('storage').get('failed'))") == ["null"]
