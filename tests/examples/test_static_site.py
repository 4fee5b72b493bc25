"""The static site: what people see at the URLs that it reports."""

import asyncio
import base64
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import pytest

from tests.examples.orders import EXAMPLES, Lines, bottomless, environment, order, write_wrapper
from tieline.core.documents import Environment
from tieline.core.errors import DeployFailed
from tieline.core.ports import Action
from tieline.deploy.command import CommandDeployer


@dataclass(frozen=True)
class Host:
    """A root of sites, and the deployer that looks after it."""

    root: Path
    wrapper: Path
    deployer: CommandDeployer
    scratch: Path

    async def run(
        self, action: Action, subject: Environment, files: Mapping[str, str] | None = None, **others: Environment
    ) -> str:
        """Run an action, with a tree of these files; the URL that was reported."""
        tree = self.tree(files) if files is not None else None
        answer = await self.deployer.run(order(action, subject, tree, others.get("parent")), Lines())
        return answer.urls[0] if answer.urls else ""

    def tree(self, files: Mapping[str, str]) -> Path:
        tree = self.scratch / f"tree-{len(list(self.scratch.iterdir()))}"
        for name, text in files.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tree

    def folder(self, subject: Environment) -> Path:
        return self.root / "sites" / subject.machine_name

    def command(self, name: str) -> str:
        done = subprocess.run([self.wrapper, name], capture_output=True, text=True, timeout=20, check=True)
        return done.stdout

    def server(self) -> int:
        """The process that serves."""
        return int((self.root / "server.lock").read_text())


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("static-site")
    # Longer than the path of a Unix socket may be.
    root = folder / ("a-folder-with-quite-a-long-name-" * 3) / "sites of everybody"
    variables = {"STATIC_SITE_ROOT": str(root), "STATIC_SITE_PORTS": "0"}
    wrapper = write_wrapper(folder / "deployer", variables, EXAMPLES / "static-site" / "deploy")
    (folder / "scratch").mkdir()
    yield (made := Host(root, wrapper, CommandDeployer(wrapper, folder / "runs"), folder / "scratch"))
    made.command("stop-all")


@dataclass(frozen=True)
class Page:
    """What a visitor gets."""

    status: int
    headers: Message
    text: str


class NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_args: object) -> None:
        return None


CLIENT = build_opener(NoRedirects)


def visit(url: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Page:
    request = Request(url, headers=dict(headers or {}), method=method)  # noqa: S310 - the deployer's own
    try:
        with CLIENT.open(request, timeout=10) as answer:
            return Page(answer.status, answer.headers, answer.read().decode())
    except HTTPError as error:
        with error:
            return Page(error.code, error.headers, error.read().decode())


def get(url: str) -> str:
    page = visit(url)
    assert page.status == 200, page
    return page.text


def is_refused(url: str) -> bool:
    try:
        visit(url)
    except URLError as error:
        return isinstance(error.reason, ConnectionRefusedError)
    return False


def raw_status(url: str, target: bytes) -> int:
    """The status for a request line that no decent client would send."""
    port = int(url.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.0\r\n\r\n")
        return int(connection.makefile("rb").readline().split()[1])


async def test_every_environment_has_its_own_page_at_its_own_url(host: Host) -> None:
    main, pull = environment("main"), environment("pr-1")
    ours = await host.run("deploy", main, {"index.html": "main", "docs/index.html": "docs", "style.css": "b{}"})
    theirs = await host.run("deploy", pull, {"index.html": "pull request"})
    assert (get(ours), get(theirs)) == ("main", "pull request")
    assert (visit(ours + "docs").headers["Location"], get(ours + "docs/")) == ("/docs/", "docs")
    assert visit(ours + "style.css").headers["Content-Type"] == "text/css; charset=utf-8"
    assert visit(theirs + "style.css").status == 404


async def test_a_push_replaces_the_page_at_the_same_url(host: Host) -> None:
    branch = environment("push")
    url = await host.run("deploy", branch, {"index.html": "old", "gone.html": "gone"})
    await host.run("build", branch, {"index.html": "new"})
    assert get(url) == "old"
    assert await host.run("deploy", branch, {"index.html": "new"}) == url
    assert get(url) == "new"
    assert visit(url + "gone.html").status == 404


async def test_no_visitor_ever_sees_half_a_deployment(host: Host) -> None:
    branch = environment("busy")
    pages = {f"{number}": {"index.html": f"{number}" * 100_000} for number in range(4)}
    url = await host.run("deploy", branch, pages["0"])
    seen, done = set(), threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add(get(url))

    looking = asyncio.create_task(asyncio.to_thread(look))
    for page in pages.values():
        await host.run("deploy", branch, page)
    done.set()
    await looking
    assert seen <= {page["index.html"] for page in pages.values()}
    assert len(list((host.folder(branch) / "trees").iterdir())) == 2


async def test_data_is_copied_from_the_parent_and_survives_deployments(host: Host) -> None:
    parent, child = environment("with-data"), environment("copy")
    await host.run("deploy", parent, {"index.html": ""})
    (host.folder(parent) / "data" / "photo.txt").write_text("of the parent")
    await host.run("sync-data", child, parent=parent)
    url = await host.run("deploy", child, {"index.html": ""}, parent=parent)
    assert get(url + "data/photo.txt") == "of the parent"
    (host.folder(child) / "data" / "photo.txt").write_text("of the child")
    (host.folder(child) / "data" / "more.txt").write_text("of the child")
    await host.run("deploy", child, {"index.html": ""}, parent=parent)
    assert get(url + "data/photo.txt") == "of the child"
    await host.run("sync-data", child, parent=parent)
    assert get(url + "data/photo.txt") == "of the parent"
    assert visit(url + "data/more.txt").status == 404


async def test_the_tree_comes_before_the_data(host: Host) -> None:
    branch = environment("both")
    url = await host.run("deploy", branch, {"data/a.txt": "of the tree"})
    (host.folder(branch) / "data" / "a.txt").write_text("of the data")
    (host.folder(branch) / "data" / "b.txt").write_text("of the data")
    assert (get(url + "data/a.txt"), get(url + "data/b.txt")) == ("of the tree", "of the data")


async def test_a_parent_that_was_never_deployed_has_no_data(host: Host) -> None:
    log = Lines()
    child, parent = environment("child"), environment("never")
    await host.deployer.run(order("sync-data", child, parent=parent), log)
    assert "no data yet" in log.text


async def test_a_paused_environment_answers_nobody_and_comes_back_as_it_was(host: Host) -> None:
    branch = environment("tired")
    url = await host.run("deploy", branch, {"index.html": "awake"})
    (host.folder(branch) / "data" / "kept.txt").write_text("kept")
    for _ in range(2):
        await host.run("pause", branch)
        assert is_refused(url)
    assert await host.run("deploy", branch, {"index.html": "again"}) == url
    assert (get(url), get(url + "data/kept.txt")) == ("again", "kept")


async def test_a_deleted_environment_leaves_nothing(host: Host) -> None:
    branch = environment("merged")
    url = await host.run("deploy", branch, {"index.html": "here"})
    for _ in range(2):
        await host.run("delete", branch)
        assert is_refused(url)
    assert not [path for path in host.root.rglob("*") if branch.machine_name in path.name]


async def test_what_is_hidden_or_outside_of_the_tree_is_not_served(host: Host) -> None:
    branch = environment("hostile")
    tree = host.tree({".env": "secret", ".git/config": "secret", "a/.htpasswd": "secret", "index.html": "page"})
    (tree / ".well-known").mkdir()
    (tree / ".well-known" / "security.txt").write_text("Contact:")
    (host.scratch / "outside.txt").write_text("secret")
    (tree / "out.txt").symlink_to(host.scratch / "outside.txt")
    (tree / "up").symlink_to("..")
    (tree / "root").symlink_to("/")
    (tree / "inside.html").symlink_to("index.html")
    (tree / "loop").symlink_to("loop")
    (tree / "a" / "index.html").symlink_to("/etc/passwd")
    url = (await host.deployer.run(order("deploy", branch, tree), Lines())).urls[0]
    assert not [path for path in host.folder(branch).rglob("*") if path.name in (".env", ".git", ".htpasswd")]
    assert (get(url + "inside.html"), get(url + ".well-known/security.txt")) == ("page", "Contact:")
    for path in (".env", ".git/config", "a/.htpasswd", "out.txt", "root/etc/passwd", "up/outside.txt", "loop", "a/"):
        assert visit(url + path).status == 404, path


ODD_PATHS = [
    b"/../../../../../../../../etc/passwd",
    b"/..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd",
    b"/%2e%2e/%2e%2e/site.json",
    b"/sub/../../../site.json",
    b"//etc/passwd",
    b"/%00",
    b"/\xff%ff",
    b"/" + b"x" * 5000,
    b"/index.html/",
    b"/index.html/x",
    b"/empty/",
]


async def test_odd_paths_are_not_found(host: Host) -> None:
    url = await host.run("deploy", environment("odd"), {"index.html": "", "sub/x": "", "empty/x": ""})
    assert {path: raw_status(url, path) for path in ODD_PATHS} == dict.fromkeys(ODD_PATHS, 404)
    assert raw_status(url, b"/ HTTP/1.0\r\nX: " + b"y" * 100_000) == 431
    assert get(url) == ""


async def test_names_of_any_alphabet_and_shape(host: Host) -> None:
    files = {"größe 1.txt": "ja", "404.html": "nowhere", "good.example/x": ""}
    url = await host.run("deploy", environment("names"), files)
    assert get(url + "gr%C3%B6%C3%9Fe%201.txt?x#y") == "ja"
    assert raw_status(url, "/größe%201.txt".encode()) == 200
    missing, folder = visit(url + "missing"), visit(url + "/good.example")
    assert (missing.status, missing.text) == (404, "nowhere")
    assert (folder.status, folder.headers["Location"]) == (301, "/good.example/")


async def test_a_browser_asks_again_and_is_told_what_changed(host: Host) -> None:
    branch = environment("cached")
    url = await host.run("deploy", branch, {"index.html": "one"})
    first = visit(url)
    assert first.headers["Cache-Control"] == "no-cache"
    unchanged = {"If-None-Match": first.headers["ETag"]}
    assert visit(url, unchanged).status == 304
    await host.run("deploy", branch, {"index.html": "two"})
    assert visit(url, unchanged).text == "two"
    head = visit(url, method="HEAD")
    assert (head.text, head.headers["Content-Length"]) == ("", "3")


async def test_search_engines_are_told_to_stay_away_when_asked(host: Host) -> None:
    url = await host.run("deploy", environment("robots"), {"index.html": ""})
    assert visit(url).headers["X-Robots-Tag"] == visit(url + "none").headers["X-Robots-Tag"] == "noindex, nofollow"
    await host.run("deploy", environment("robots", restrict_robots=False), {"index.html": ""})
    assert visit(url).headers["X-Robots-Tag"] is None


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


async def test_passwords_are_asked_for(host: Host) -> None:
    users = {"ann": "s3cret", "bob": "pä:ss"}
    log = Lines()
    branch = environment("private", http_access={"is_enabled": True, "addresses": [], "basic_auth": users})
    url = (await host.deployer.run(order("deploy", branch, host.tree({"index.html": "in"})), log)).urls[0]
    assert "s3cret" not in log.text + url
    strangers = [{}, {"Authorization": "Basic ann"}, basic("ann", "wrong"), basic("eve", "s3cret"), basic("ann", "")]
    assert [visit(url, each).status for each in strangers] == [401] * 5
    assert [visit(url, basic(*each)).text for each in users.items()] == ["in", "in"]
    assert (host.folder(branch) / "site.json").stat().st_mode & 0o077 == 0
    opened = environment("private", http_access={"is_enabled": False, "basic_auth": users})
    await host.run("deploy", opened, {"index.html": "in"})
    assert get(url) == "in"


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        ([("deny", "127.0.0.1")], 403),
        ([("allow", "127.0.0.0/8"), ("deny", "0.0.0.0/0")], 200),
        ([("deny", "0.0.0.0/0"), ("allow", "127.0.0.0/8")], 403),
        ([("allow", "192.0.2.1")], 200),
        ([("deny", "::/0")], 403),
    ],
)
async def test_the_first_address_rule_that_fits_decides(host: Host, rules: list[tuple[str, str]], status: int) -> None:
    addresses = [{"permission": permission, "address": address} for permission, address in rules]
    branch = environment("rules", http_access={"is_enabled": True, "addresses": addresses, "basic_auth": {}})
    assert visit(await host.run("deploy", branch, {"index.html": ""})).status == status


@pytest.mark.parametrize(
    "access",
    [
        {"addresses": [{"permission": "perhaps", "address": "127.0.0.1"}]},
        {"addresses": [{"permission": "deny", "address": "office"}]},
        {"basic_auth": ["ann"]},
    ],
)
async def test_access_that_is_not_understood_publishes_nothing(host: Host, access: dict[str, object]) -> None:
    url = await host.run("deploy", environment("careful"), {"index.html": "public"})
    log = Lines()
    with pytest.raises(DeployFailed, match="exit status 1"):
        await host.deployer.run(
            order("deploy", environment("careful", http_access=access), host.tree({"index.html": "private"})), log
        )
    assert "http_access is not understood" in log.text
    assert get(url) == "public"


async def test_only_machine_names_become_folders(host: Host) -> None:
    await host.run("deploy", environment("main"), {"index.html": ""})
    before = sorted(host.root.rglob("*"))
    actions: list[Action] = ["deploy", "pause", "delete", "sync-data"]
    for action, name in zip(actions * 2, ["../main", "", "a/b", "A", "-a", "a" * 64, "a\n", "."], strict=True):
        log = Lines()
        stranger = environment("main", machine_name=name)
        with pytest.raises(DeployFailed):
            await host.deployer.run(order(action, stranger, host.tree({"a": ""}), environment("main")), log)
        assert "machine_name" in log.text
    with pytest.raises(DeployFailed):
        await host.run("sync-data", environment("main"), parent=environment("x", machine_name="../../etc"))
    assert sorted(host.root.rglob("*")) == before


async def test_a_server_that_died_is_started_by_the_next_deployment(host: Host) -> None:
    one, two = environment("one"), environment("two")
    urls = [await host.run("deploy", each, {"index.html": each.id}) for each in (one, two)]
    os.kill(host.server(), signal.SIGKILL)
    assert await host.run("deploy", one, {"index.html": "one again"}) == urls[0]
    assert [get(url) for url in urls] == ["one again", "two"]


async def test_new_settings_are_taken_over_by_the_next_deployment(host: Host, tmp_path: Path) -> None:
    branch = environment("moved")
    url = await host.run("deploy", branch, {"index.html": "before"})
    former = host.server()
    variables = {"STATIC_SITE_ROOT": str(host.root), "STATIC_SITE_PORTS": "0", "STATIC_SITE_HOST": "localhost"}
    wrapper = write_wrapper(tmp_path / "deployer", variables, EXAMPLES / "static-site" / "deploy")
    changed = Host(host.root, wrapper, CommandDeployer(wrapper, tmp_path / "runs"), host.scratch)
    moved = await changed.run("deploy", branch, {"index.html": "after"})
    assert (moved, get(moved)) == (url.replace("127.0.0.1", "localhost"), "after")
    assert host.server() != former


async def test_everything_can_be_stopped_and_started(host: Host) -> None:
    awake, asleep = environment("awake"), environment("asleep")
    url = await host.run("deploy", awake, {"index.html": "awake"})
    other = await host.run("deploy", asleep, {"index.html": "asleep"})
    await host.run("pause", asleep)
    assert "Stopped" in host.command("stop-all")
    assert "Nothing" in host.command("stop-all")
    assert is_refused(url)
    await host.run("pause", asleep)
    started = host.command("start")
    assert f"{awake.machine_name}  {url}\n" in started
    assert asleep.machine_name not in started
    assert (get(url), is_refused(other)) == ("awake", True)


async def test_deployments_at_once_share_one_server(host: Host) -> None:
    host.command("stop-all")
    branches = [environment(f"many-{number}") for number in range(4)]
    urls = await asyncio.gather(*[host.run("deploy", each, {"index.html": each.id}) for each in branches])
    assert [get(url) for url in urls] == [each.id for each in branches]
    assert len(set(urls)) == len(urls)


async def test_a_port_that_a_stranger_took_is_given_up(host: Host) -> None:
    branch = environment("robbed")
    url = await host.run("deploy", branch, {"index.html": "mine"})
    await host.run("pause", branch)
    with socket.create_server(("127.0.0.1", int(re.findall(r"\d+", url)[-1]))):
        moved = await host.run("deploy", branch, {"index.html": "mine"})
    assert moved != url
    assert get(moved) == "mine"


async def test_a_port_range_is_used_and_its_end_is_reported(host: Host, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    variables = {
        "STATIC_SITE_ROOT": str(tmp_path / "root"),
        "STATIC_SITE_PORTS": f"{port}",
        "STATIC_SITE_NAME": "localhost",
    }
    wrapper = write_wrapper(tmp_path / "deployer", variables, EXAMPLES / "static-site" / "deploy")
    small = Host(tmp_path / "root", wrapper, CommandDeployer(wrapper, tmp_path / "runs"), host.scratch)
    try:
        assert await small.run("deploy", environment("first"), {"index.html": ""}) == f"http://localhost:{port}/"
        await small.run("pause", environment("first"))
        log = Lines()
        with pytest.raises(DeployFailed):
            await small.deployer.run(order("deploy", environment("second"), host.tree({"a": ""})), log)
        assert "STATIC_SITE_PORTS" in log.text
        await small.run("delete", environment("first"))
        assert await small.run("deploy", environment("second"), {"index.html": ""}) == f"http://localhost:{port}/"
    finally:
        small.command("stop-all")


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"STATIC_SITE_PORTS": "many"}, "STATIC_SITE_PORTS"),
        ({"STATIC_SITE_PORTS": "9-1"}, "STATIC_SITE_PORTS"),
        ({"STATIC_SITE_PORTS": "1-70000"}, "STATIC_SITE_PORTS"),
        ({"STATIC_SITE_HOST": "::"}, "STATIC_SITE_NAME"),
        ({"STATIC_SITE_ROOT": "here"}, "STATIC_SITE_ROOT"),
    ],
)
async def test_settings_that_cannot_be_meant_are_named(
    host: Host, tmp_path: Path, variables: dict[str, str], named: str
) -> None:
    wrapper = write_wrapper(tmp_path / "deployer", variables, EXAMPLES / "static-site" / "deploy")
    log = Lines()
    with pytest.raises(DeployFailed):
        await CommandDeployer(wrapper, tmp_path / "runs").run(order("build", environment("main"), host.scratch), log)
    assert named in log.text


async def test_a_tree_without_bottom_is_refused_and_leaves_nothing(host: Host) -> None:
    main = environment("bottomless")
    url = await host.run("deploy", main, {"index.html": "before"})
    tree = host.tree({"index.html": "after"})
    with bottomless(tree), pytest.raises(DeployFailed):
        await host.deployer.run(order("deploy", main, tree), (log := Lines()))
    assert log.text == "There are folders more than 100 levels deep, which are not served.\n"
    assert get(url) == "before"
    assert len(list((host.folder(main) / "trees").iterdir())) == 1
    await host.run("delete", main)
    assert not host.folder(main).exists()


async def test_a_tree_that_is_not_there_is_named(host: Host) -> None:
    log = Lines()
    with pytest.raises(DeployFailed):
        await host.deployer.run(order("deploy", environment("main"), host.scratch / "missing"), log)
    assert "missing" in log.text


def test_an_unknown_action_says_which_there_are(host: Host) -> None:
    done = subprocess.run([host.wrapper, "destroy"], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, "build|deploy|sync-data|pause|delete" in done.stderr) == (1, True)
