"""Users, tokens and access; and what those who may not are told."""

from tests.cli.programs import CommandLine, Server


def test_a_colleague_gets_an_account_access_and_a_token(in_project: CommandLine, server: Server) -> None:
    name = f"ada-{in_project.settings['TIELINE_PROJECT']}"
    assert in_project("user", "create", name, "--email", "ada@example.com").status == 0
    created = in_project("token", "create", "laptop", "--user", name)
    assert created.status == 0
    token = created.out.removesuffix("\n")
    assert token
    assert token not in created.err
    theirs = in_project.within(TIELINE_TOKEN=token)

    stranger = theirs("environment", "list")
    assert (stranger.status, stranger.err.splitlines()[0]) == (5, "Project not found")
    assert in_project("project", "access", "grant", name).status == 0
    assert (theirs("environment", "list").status, theirs("project", "list", "--json").document[0]["title"]) == (
        0,
        in_project("project", "get", "--json").document["title"],
    )
    viewer = theirs("integration", "list")
    assert (viewer.status, viewer.out) == (6, "")
    assert viewer.err == "This needs the role admin on the project; yours is viewer.\n"
    assert theirs("user", "list").status == 6

    assert in_project("project", "access", "grant", name, "--role", "admin").status == 0
    assert theirs("integration", "list").status == 0
    me = theirs("user", "get", "--json").document["id"]
    assert me in in_project("project", "access", "list").out
    assert in_project("project", "access", "revoke", name).status == 0
    assert theirs("environment", "list").status == 5

    [listed] = theirs("token", "list", "--json").document
    assert "token" not in listed
    assert in_project("token", "revoke", listed["id"], "--user", name).status == 2
    assert in_project("token", "revoke", listed["id"], "--user", name, "--yes").status == 0
    locked_out = theirs("project", "list")
    assert (locked_out.status, locked_out.out) == (3, "")
    assert "Set TIELINE_TOKEN to an API token." in locked_out.err
    assert token not in locked_out.err


def test_a_project_is_created_changed_and_shown(tieline: CommandLine) -> None:
    created = tieline("project", "create", "--title", "My [bold]site[/bold]", "--attribute", "team=web", "--json")
    assert created.document["_embedded"]["entity"]["attributes"] == {"team": "web"}
    project = tieline.within(TIELINE_PROJECT=created.document["_embedded"]["entity"]["id"])
    assert "title                      My [bold]site[/bold]" in project("project", "get").out
    assert "Europe/Paris" in project("project", "update", "--timezone", "Europe/Paris").out
    wrong = project("project", "update", "--timezone", "Mars")
    assert (wrong.status, wrong.err.startswith("timezone: ")) == (4, True)
    assert project("project", "update").status == 2
    assert project("project", "update", "--attribute", "team").status == 2


def test_which_project_is_asked_when_there_are_several(in_project: CommandLine, tieline: CommandLine) -> None:
    tieline("project", "create", "--title", "Another")
    ended = tieline("environment", "list")
    assert (ended.status, ended.out) == (2, "")
    assert "Give --project or set TIELINE_PROJECT to one of these:" in ended.err
    assert in_project.settings["TIELINE_PROJECT"] in ended.err


def test_a_token_may_expire(tieline: CommandLine) -> None:
    created = tieline("token", "create", "soon", "--expires-at", "2199-01-31T12:00:00Z", "--json").document
    assert created["expires_at"].startswith("2199-01-31")
    assert "2199-01-31" in tieline("token", "list").out
    past = tieline("token", "create", "gone", "--expires-at", "2001-01-31T12:00:00Z")
    assert (past.status, past.err) == (4, "expires_at: This must be a moment to come.\n")
    assert tieline("token", "revoke", created["id"], "--yes").status == 0
    assert tieline("token", "revoke", created["id"], "--yes").status == 5


def test_an_unknown_role_is_refused_before_anything_is_sent(in_project: CommandLine) -> None:
    ended = in_project("project", "access", "grant", "ada", "--role", "admn")
    assert ended.status == 2
    assert "'admn' is none of admin, viewer; did you mean admin?" in ended.err
