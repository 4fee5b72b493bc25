"""`tieline integration variable`, against the real server."""

from tests.cli.programs import CommandLine

SECRET = "sample-secret"


def test_variables_from_the_first_to_the_last(connected: CommandLine) -> None:
    def variable(command: str, *arguments: str, **more: str) -> str:
        ended = connected("integration", "variable", command, "bitbucket", *arguments, **more)
        assert ended.status == 0, ended.err
        return ended.out

    assert variable("list") == ""
    variable("set", "LIMITS", "--value", "[1]", "--is-json")
    variable("set", "LIMITS", "--value", "[2]", "--is-json")
    variable("set", "TOKEN", "--secret", "-", stdin=f"{SECRET}\n")
    rows = [line.split() for line in variable("list").splitlines()]
    assert rows == [["NAME", "VALUE", "JSON"], ["LIMITS", "[2]", "yes"], ["TOKEN", "(sensitive)", "no"]]
    assert SECRET not in variable("list", "--json")
    variable("delete", "TOKEN", "--yes")
    assert "TOKEN" not in variable("list")


def test_what_cannot_be_meant_is_refused(connected: CommandLine) -> None:
    put = ("integration", "variable", "set", "bitbucket", "NAME")
    for arguments, status, sentence in (
        ((), 2, "Give either --value, or --secret"),
        (("--value", "a", "--secret", "-"), 2, "Give either --value, or --secret"),
        (("--secret", SECRET), 2, "secrets are not written on the command line"),
        (("--value", "{", "--is-json"), 4, "value: This is no JSON"),
    ):
        ended = connected(*put, *arguments)
        assert (ended.status, sentence in ended.err, SECRET in ended.err) == (status, True, False)
