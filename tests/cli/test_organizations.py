"""Organizations, their members, and the projects that these give them."""

from tests.cli.programs import CommandLine, Server
from tieline.core.ids import new_id


def test_a_member_gives_an_organization_a_project(tieline: CommandLine, server: Server) -> None:
    name, ada = f"acme-{new_id()}", f"ada-{new_id()}"
    created = tieline("organization", "create", name, "--label", "Acme", "--json").document
    assert (created["name"], created["label"]) == (name, "Acme")
    listed = tieline("organization", "list")
    assert name in listed.out
    for named in (name, created["id"]):
        assert tieline("organization", "get", named, "--json").document == created

    tieline("user", "create", ada, "--email", "ada@example.com")
    token = tieline("token", "create", "laptop", "--user", ada).out.strip()
    theirs = tieline.within(TIELINE_TOKEN=token)
    assert theirs("organization", "list").err == "You belong to none yet.\n"
    assert theirs("project", "create", "--title", "Shop", "--organization", name).status == 4
    assert tieline("organization", "member", "add", name, ada).status == 0
    made = theirs("project", "create", "--title", "Shop", "--organization", name, "--json").document
    assert made["_embedded"]["entity"]["organization"] == created["id"]

    assert theirs("organization", "member", "list", name).status == 6
    members = tieline("organization", "member", "list", name).out
    assert [line.split()[1] for line in members.splitlines()[1:]] == ["owner", "viewer"]
    assert tieline("organization", "member", "add", name, ada, "--admin").status == 1
    assert tieline("organization", "member", "remove", name, ada).status == 0
    assert tieline("organization", "member", "add", name, ada, "--admin").status == 0
    assert theirs("organization", "member", "list", name).status == 0


def test_an_organization_that_is_not_there_is_said_to_be_none(tieline: CommandLine) -> None:
    ended = tieline("organization", "get", "nothing")
    assert ended.status == 5
    assert ended.err == "Organization not found\n`tieline organization list` shows what there is.\n"
