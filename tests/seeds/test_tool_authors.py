"""docs/for-tool-authors.md is true: its seed can be read, and its commands do what they are there for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.programs import TIELINE, CommandLine, clean_environment, wait_until
from tests.cli.receiving import receiving
from tests.seeds.conftest import ROOT
from tests.seeds.reading import read
from tieline.seeds.text import read_yaml
from tieline.simulators.receiver import Receiver
from tieline.testing.server import CallFailed, TielineProject, TielineServer, running_server

PAGE = (ROOT / "docs" / "for-tool-authors.md").read_text()
SEED = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0]
SERVE, EXPORT, SECRETS, RESET, PYTEST, VITEST = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def run(script: str, folder: Path, **settings: str) -> str:
    """What a script of the page says on standard output; it must end well."""
    environment = clean_environment(**settings)
    path = os.pathsep.join([str(TIELINE.parent), str(ROOT / ".tools" / "bin"), environment["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={**environment, "PATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_the_seed_of_the_page_can_be_read() -> None:
    (shop,) = read(SEED).projects
    assert [len(each) for each in (shop.integrations, shop.environments, shop.activities)] == [1, 2, 1]


def test_the_server_of_the_page_is_the_one_of_these_tests(tieline_server: TielineServer) -> None:
    """The fixture starts it so, with a token of its own."""
    exports, serve = SERVE.splitlines()
    assert exports.startswith("export TIELINE_DEVELOPMENT=1 TIELINE_LISTEN=127.0.0.1:0 TIELINE_ADMIN_TOKEN=")
    assert serve == "tieline serve --seed examples/seed.yaml"
    said = (tieline_server.folder / "output").read_text()
    assert re.fullmatch(rf"Tieline \d+\.\d+\.\d+ is ready at {tieline_server.url}\n", said)


def test_the_example_is_loaded_without_the_secrets_that_are_not_there(tieline_server: TielineServer) -> None:
    tieline_server.reset()
    assert [each["title"] for each in tieline_server.get("/projects")] == ["Shop", "Blog"]
    environments = {each["id"]: each for each in tieline_server.get("/projects/shop/environments")}
    assert {name: each["parent"] for name, each in environments.items()} == {
        "main": None,
        "feature-cart": "main",
        "pr-7": "feature-cart",
    }
    bitbucket, webhook = tieline_server.get("/projects/shop/integrations")
    assert (bitbucket["app_credentials"], webhook["id"]) == ({"key": "consumer-key"}, "deploys")
    assert all(f'"the variable {name}"' in tieline_server.log for name in ("ADA_TOKEN", "BITBUCKET_CONSUMER_SECRET"))


def rename(server: TielineServer, receiver: Receiver, title: str) -> None:
    """Give the project another title, and wait until the receiver has been told."""
    body = {"url": f"{receiver.url}/{title}", "events": ["project.modify.title"]}
    server.call("PATCH", "/projects/shop/integrations/deploys", body)
    server.call("PATCH", "/projects/shop", {"title": title})
    wait_until(lambda: bool(receiver.at(f"/{title}")), f"the webhook to be told of {title}")


def test_the_webhook_of_the_example_is_told_of_what_happens_also_after_a_reset(tieline_server: TielineServer) -> None:
    with receiving() as receiver:
        for title in ("Books", "Papers"):
            tieline_server.reset()
            rename(tieline_server, receiver, title)
        assert [each.document()["payload"]["project"]["title"] for each in receiver.arrivals] == ["Books", "Papers"]
    tieline_server.reset()


def test_links_lead_to_the_port_that_was_free(tieline_project: TielineProject) -> None:
    assert tieline_project.get()["_links"]["self"]["href"] == f"{tieline_project.server.url}/api{tieline_project.path}"


def test_a_no_is_raised_with_what_the_server_said(tieline_project: TielineProject) -> None:
    with pytest.raises(CallFailed) as refused:
        tieline_project.call("POST", "/integrations", {"type": "nothing"})
    assert refused.value.status == 400
    assert "type" in refused.value.document["detail"]


def test_the_commands_for_exports_write_seeds(tieline: CommandLine, tmp_path: Path) -> None:
    everything = read_yaml(run(EXPORT, tmp_path, **tieline.settings).encode())
    assert [each["title"] for each in everything["projects"]] == ["Shop", "Blog"]
    one = read_yaml((tmp_path / "shop.yaml").read_bytes())
    assert [each["id"] for each in one["projects"]] == ["shop"]
    assert {each["username"] for each in one["users"]} == {"admin", "ada"}


def test_the_secrets_of_an_export_go_into_a_file_of_their_own(
    tieline: CommandLine, tieline_server: TielineServer, tmp_path: Path
) -> None:
    """What the script of the page starts is a server on other data; here it is enough that it could."""
    body = {"type": "health.slack", "channel": "#a", "token": "it's s3cret"}
    made = tieline_server.call("POST", "/projects/shop/integrations", body)
    name = f"HEALTH_SLACK_{made['_embedded']['entity']['id'].upper()}_TOKEN"
    export, read, serve = SECRETS.splitlines()
    settings = {**tieline.settings, "TIELINE_DATA": str(tieline_server.folder / "data")}
    assert run(f'{export}\n{read}\nprintf %s "${name}"', tmp_path, **settings) == "it's s3cret"
    assert serve == "tieline serve --seed everything.yaml"
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600
    assert "s3cret" not in (tmp_path / "everything.yaml").read_text()


def test_an_export_that_cannot_be_written_says_so(tieline: CommandLine, tmp_path: Path) -> None:
    ended = tieline("export", "--output", str(tmp_path / "missing" / "shop.yaml"))
    assert (ended.status, ended.err) == (1, f"{tmp_path}/missing/shop.yaml: No such file or directory.\n")


def test_the_commands_for_resets_lead_back(tieline: CommandLine, tieline_server: TielineServer, tmp_path: Path) -> None:
    run(RESET, tmp_path, **tieline.settings)
    assert [each["title"] for each in tieline_server.get("/projects")] == ["Shop", "Blog"]


def test_the_example_for_pytest_passes() -> None:
    program = f"{sys.executable} -m pytest -q -p no:cacheprovider"
    assert "3 passed" in run(PYTEST.replace("pytest ", f"{program} ", 1), ROOT)


def test_the_example_for_vitest_passes() -> None:
    where, install, test = VITEST.splitlines()
    assert install == "npm ci"  # which is a part of make setup
    assert (ROOT / "examples" / "vitest" / "node_modules").exists(), "run make clients"
    run(f"{where}\n{test}", ROOT)


def test_a_seed_that_is_wrong_starts_nothing(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text("projects: [{titel: Shop}, {title: Blog, integrations: [{type: webhook, url: nowhere}]}]")
    with pytest.raises(RuntimeError) as refused, running_server(seed=seed):
        pass
    *_, wrong = str(refused.value).partition("did not start:\n")
    assert wrong.splitlines() == [
        "The seed is wrong; nothing of it is loaded.",
        "projects[0].title: This field is required.",
        "projects[0].titel: There is no such field; did you mean title?",
        "projects[1].integrations[0].url: Must be a URL that begins with https:// or http://.",
    ]


def test_a_seed_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ended = CommandLine(monkeypatch)("serve", "--seed", "nothing.yaml", TIELINE_DATA=str(tmp_path / "data"))
    assert ended.status == 2
    assert "nothing.yaml" in ended.err
