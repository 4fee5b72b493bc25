"""The declaration kit, on a type with one of everything."""

from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from tieline.core.documents import JSON
from tieline.core.errors import Invalid
from tieline.core.secret import Secret
from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import (
    CALLED_HOST,
    CALLED_URL,
    DOCUMENTED,
    OUR_CHOICE,
    READ_ONLY,
    ROTATES,
    SEALED,
    UNLESS_DEFAULT,
    WRITE_ONLY,
    Basis,
    Fields,
    IntegrationFields,
    Needs,
    basis_of,
    basis_of_default,
    called_urls,
    render_config,
    validate_create,
    validate_patch,
    write_only_names,
)
from tieline.integrations.models import model_to_create, model_to_patch, model_to_read


class Login(Fields):
    user: str
    """Who logs in."""

    password: Annotated[str, WRITE_ONLY]
    """What only they know."""


class Sample(IntegrationFields):
    also_accepted: ClassVar[frozenset[str]] = frozenset({"redaction"})

    url: str
    """Where to."""

    token: Annotated[str, WRITE_ONLY]
    """What lets in."""

    port: Annotated[int, Field(ge=1, le=65535)] = 443
    """Which port."""

    colour: Literal["red", "green"] = "green"
    """Which colour."""

    names: Annotated[list[str], Field(default_factory=list)]
    """Whose."""

    headers: Annotated[dict[str, str], Field(default_factory=dict)]
    """What goes along."""

    login: Login | None = None
    """Who goes along."""

    pin: Annotated[str | None, WRITE_ONLY] = None
    """A secret that need not be."""

    seen: Annotated[int, READ_ONLY] = 0
    """How often."""

    @classmethod
    def normalise(cls, body: JSON) -> JSON:
        url = body.get("url")
        return body | {"url": url.rstrip("/")} if isinstance(url, str) else body

    @classmethod
    def settle(cls, values: JSON) -> JSON:
        return values | {"colour": "red"} if values["port"] == 80 else values


BODY: dict[str, Any] = {"url": "https://a.example", "token": "t0ken"}
FULL: dict[str, Any] = {**BODY, "login": {"user": "ada", "password": "pass"}, "pin": "1234", "names": ["x"]}
TYPE = IntegrationType(key="sample.one", title="Sample", summary="One of everything.", fields=Sample, example=BODY)


def reasons(body: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        validate_create(Sample, body)
    return caught.value.detail


def stored(body: dict[str, Any]) -> tuple[JSON, dict[str, Secret]]:
    accepted = validate_create(Sample, body)
    return accepted.config, {name: each for name, each in accepted.secrets.items() if each is not None}


def test_readable_and_secret_parts_come_apart() -> None:
    accepted = validate_create(Sample, FULL)
    assert accepted.config == {
        "url": "https://a.example",
        "port": 443,
        "colour": "green",
        "names": ["x"],
        "headers": {},
        "login": {"user": "ada"},
        "seen": 0,
    }
    revealed = {name: each.reveal() for name, each in accepted.secrets.items() if each}
    assert revealed == {"token": "t0ken", "login.password": "pass", "pin": "1234"}


def test_secrets_are_listed_by_dotted_name() -> None:
    assert list(write_only_names(Sample)) == ["token", "login.password", "pin"]


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"url": None}, "url", "Must be a string, not null."),
        ({"url": {}}, "url", "Must be a string, not an object."),
        ({"token": 5}, "token", "Must be a string, not a number."),
        ({"port": "443"}, "port", "Must be a whole number, not a string."),
        ({"port": True}, "port", "Must be a whole number, not a boolean."),
        ({"port": 1.5}, "port", "Must be a whole number, not a fraction."),
        ({"port": 0}, "port", "Must be at least 1, not 0."),
        ({"port": 65536}, "port", "Must be at most 65535, not 65536."),
        ({"colour": "blue"}, "colour", "Must be 'red' or 'green', not 'blue'."),
        ({"colour": "b" * 500}, "colour", "Must be 'red' or 'green', not a string."),
        ({"names": "x"}, "names", "Must be a list, not a string."),
        ({"names": ["x", 5]}, "names.1", "Must be a string, not a number."),
        ({"headers": []}, "headers", "Must be an object, not a list."),
        ({"login": "ada"}, "login", "Must be an object, not a string."),
        ({"login": {"user": "ada"}}, "login.password", "This field is required. What only they know."),
        ({"login": {"user": "a", "password": []}}, "login.password", "Must be a string, not a list."),
        ({"colur": "red"}, "colur", "There is no such field; did you mean colour?"),
        (
            {"login": {"user": "a", "password": "b", "pass": "c"}},
            "login.pass",
            "There is no such field; did you mean password?",
        ),
    ],
)
def test_each_error_says_what_was_found_and_what_is_wanted(change: dict[str, Any], field: str, sentence: str) -> None:
    assert reasons({**BODY, **change}) == {field: sentence}


class Kept(IntegrationFields):
    mode: Annotated[Literal["plain", "signed"], WRITE_ONLY] = "plain"
    """How it goes out."""


@pytest.mark.parametrize(
    ("value", "sentence"),
    [("s3cret", "Must be 'plain' or 'signed'."), (5, "Must be 'plain' or 'signed', not a number.")],
)
def test_a_wrong_secret_is_not_shown_and_its_kind_only_where_that_is_wrong(value: object, sentence: str) -> None:
    with pytest.raises(Invalid) as caught:
        validate_create(Kept, {"mode": value})
    assert caught.value.detail == {"mode": sentence}


def test_all_errors_are_told_at_once() -> None:
    assert set(reasons({"port": 0, "unknown": 1, "login": {}})) == {
        "url",
        "token",
        "port",
        "unknown",
        "login.user",
        "login.password",
    }


def test_what_clients_may_not_set_is_passed_over() -> None:
    extra = {
        "id": "x",
        "created_at": 1,
        "updated_at": None,
        "role": "",
        "_links": {},
        "seen": "often",
        "redaction": False,
    }
    assert validate_create(Sample, {**BODY, **extra, "type": "sample.one"}) == validate_create(Sample, BODY)


def test_spellings_are_made_one_and_dependent_fields_follow() -> None:
    assert validate_create(Sample, {**BODY, "url": "https://a.example//"}).config["url"] == "https://a.example"
    assert validate_create(Sample, {**BODY, "port": 80}).config["colour"] == "red"


def test_a_patch_merges_at_the_top_and_replaces_below() -> None:
    config, secrets = stored({**FULL, "headers": {"a": "1"}})
    after = validate_patch(Sample, "sample.one", config, secrets, {"headers": {"b": "2"}, "port": 80})
    assert after.changed
    assert after.config == {**config, "headers": {"b": "2"}, "port": 80, "colour": "red"}
    assert dict(after.secrets) == secrets


def test_a_patch_of_a_secret_alone_is_a_change() -> None:
    config, secrets = stored(BODY)
    same = validate_patch(Sample, "sample.one", config, secrets, {"token": "t0ken"})
    other = validate_patch(Sample, "sample.one", config, secrets, {"token": "another"})
    assert (same.changed, other.changed) == (False, True)
    assert other.secrets["token"] == Secret("another")


def test_a_patch_may_forget_a_secret_that_need_not_be_but_no_other() -> None:
    config, secrets = stored(FULL)
    after = validate_patch(Sample, "sample.one", config, secrets, {"pin": None})
    assert after.changed
    assert after.secrets["pin"] is None
    with pytest.raises(Invalid) as caught:
        validate_patch(Sample, "sample.one", config, secrets, {"token": None})
    assert caught.value.detail == {"token": "Must be a string, not null."}


def test_a_patched_object_keeps_its_secret_while_the_rest_of_it_stays() -> None:
    config, secrets = stored(FULL)
    same = validate_patch(Sample, "sample.one", config, secrets, {"login": {"user": "ada"}})
    assert not same.changed
    with pytest.raises(Invalid) as caught:
        validate_patch(Sample, "sample.one", config, secrets, {"login": {"user": "eve"}})
    assert list(caught.value.detail) == ["login.password"]
    whole = validate_patch(Sample, "sample.one", config, secrets, {"login": {"user": "eve", "password": "hers"}})
    assert (whole.config["login"], whole.secrets["login.password"]) == ({"user": "eve"}, Secret("hers"))


def test_a_patched_object_that_becomes_null_takes_its_secret_along_and_can_come_back() -> None:
    config, secrets = stored(FULL)
    gone = validate_patch(Sample, "sample.one", config, secrets, {"login": None})
    assert gone.config["login"] is None
    assert gone.secrets["login.password"] is None
    kept = {name: each for name, each in gone.secrets.items() if each is not None}
    with pytest.raises(Invalid):
        validate_patch(Sample, "sample.one", gone.config, kept, {"login": {"user": "ada"}})


def test_secrets_of_others_are_left_alone() -> None:
    """The hook's secret lies among them and is no field."""
    config, secrets = stored(BODY)
    after = validate_patch(Sample, "sample.one", config, {**secrets, "hook": Secret("h")}, {"port": 80})
    assert "hook" not in after.secrets


def test_a_patch_is_checked_like_a_creation() -> None:
    config, secrets = stored(BODY)
    for body in ({"port": 0}, {"url": None}, {"typo": 1}):
        with pytest.raises(Invalid):
            validate_patch(Sample, "sample.one", config, secrets, body)


def test_what_was_stored_before_a_field_existed_gets_its_default() -> None:
    assert render_config(Sample, {"url": "https://a.example"}, {})["port"] == 443


def test_the_models_carry_the_declaration_into_the_description_of_the_api() -> None:
    create, patch, read = (make(TYPE).model_json_schema() for make in (model_to_create, model_to_patch, model_to_read))
    assert create["title"] == "SampleOneCreate"
    assert create["required"] == ["type", "url", "token"]
    assert create["properties"]["token"]["description"] == "What lets in."
    assert create["properties"]["port"]["maximum"] == 65535
    assert "seen" not in create["properties"]
    assert "required" not in patch
    assert {"token", "pin"}.isdisjoint(read["properties"])
    assert read["$defs"]["LoginRead"]["properties"].keys() == {"user"}
    assert read["properties"]["seen"]["description"] == "How often."


@pytest.mark.parametrize("mark", [WRITE_ONLY, READ_ONLY, SEALED, ROTATES, Needs("other"), CALLED_URL, DOCUMENTED])
def test_a_mark_that_nobody_would_see_is_refused(mark: object) -> None:
    hidden: Any = Annotated[str, mark]
    with pytest.raises(TypeError, match=r"Leaky\.token: .* belongs to the whole"):
        type("Leaky", (Fields,), {"__annotations__": {"token": hidden | None}, "token": None})
    with pytest.raises(TypeError, match=r"Leaky\.tokens"):
        type("Leaky", (Fields,), {"__annotations__": {"tokens": list[hidden]}})


def test_evidence_stands_beside_a_field_and_not_in_its_schema() -> None:
    class Evident(IntegrationFields):
        plain: str
        seen: Annotated[bool, Basis("observed", "Clients send it."), OUR_CHOICE] = True

    fields = Evident.model_fields
    assert (basis_of(fields["plain"]), basis_of_default(fields["plain"])) == (DOCUMENTED, None)
    assert (basis_of(fields["seen"]).kind, basis_of_default(fields["seen"])) == ("observed", OUR_CHOICE)
    assert Evident.model_json_schema()["properties"]["seen"] == {"default": True, "title": "Seen", "type": "boolean"}


class Caller(IntegrationFields):
    url: Annotated[str, CALLED_URL]
    host: Annotated[str, CALLED_HOST] = "localhost"
    mirror: Annotated[str | None, CALLED_URL] = None
    title: str = "https://not.called.example"


def test_what_is_called_is_told_as_urls_but_for_what_nobody_chose() -> None:
    chosen = {
        "url": "https://a.example/x",
        "host": "fd00::1",
        "mirror": "http://b.example",
        "title": "http://c.example",
    }
    assert dict(called_urls(Caller, chosen)) == {
        "url": "https://a.example/x",
        "host": "https://[fd00::1]/",
        "mirror": "http://b.example",
    }
    assert dict(called_urls(Caller, {"url": "x", "host": "localhost", "mirror": None})) == {"url": "x"}


class Switches(IntegrationFields):
    project: str
    build: bool = True
    drafts: Annotated[bool, Needs("build")] = True
    expires: Annotated[str | None, READ_ONLY] = None
    pin: Annotated[str, WRITE_ONLY] = ""


def test_a_switch_that_needs_another_is_off_with_it() -> None:
    assert validate_create(Switches, {"project": "p", "build": False, "drafts": True}).config["drafts"] is False


def test_a_type_may_have_a_field_with_a_common_name() -> None:
    assert validate_create(Switches, {"project": "mine", "id": "x"}).config["project"] == "mine"


def test_a_patch_keeps_what_only_tieline_sets() -> None:
    config = {"project": "p", "build": True, "drafts": True, "expires": "2027-01-01"}
    after = validate_patch(Switches, "switches", config, {}, {"build": False, "expires": "never"})
    assert after.config == {"project": "p", "build": False, "drafts": False, "expires": "2027-01-01"}


def test_an_empty_secret_is_none_and_forgets_the_one_that_was_there() -> None:
    created = validate_create(Switches, {"project": "p", "pin": ""})
    assert dict(created.secrets) == {}
    after = validate_patch(Switches, "switches", created.config, {"pin": Secret("1234")}, {"pin": ""})
    assert after.changed
    assert dict(after.secrets) == {"pin": None}


def test_limits_of_a_field_hold_in_the_description_of_a_patch_too() -> None:
    port = model_to_patch(TYPE).model_json_schema()["properties"]["port"]
    assert (port["minimum"], port["maximum"]) == (1, 65535)


def test_documents_say_which_fields_are_secrets() -> None:
    create, patch = (make(TYPE).model_json_schema() for make in (model_to_create, model_to_patch))
    for schema in (create, patch):
        fields = {**schema["properties"], **schema["$defs"]["Login"]["properties"]}
        assert {name for name, field in fields.items() if field.get("writeOnly")} == {"token", "pin", "password"}


class Signed(IntegrationFields):
    key: Annotated[str | None, SEALED, ROTATES] = None
    url: Annotated[str, SEALED]
    headers: Annotated[dict[str, str], SEALED] = Field({})
    name: str = ""
    tidy: Annotated[bool, UNLESS_DEFAULT] = True


SIGNED: dict[str, Any] = {"key": "first", "url": "https://a.example/secret", "headers": {"B": "2", "A": "1"}}


def changed(secrets: dict[str, Secret], body: dict[str, Any]) -> tuple[dict[str, Secret | None], dict[str, Secret]]:
    after = validate_patch(Signed, "signed", {"name": ""}, secrets, body)
    return dict(after.secrets), dict(after.retired)


def test_a_secret_that_is_read_is_kept_apart_and_put_back_in_its_place() -> None:
    accepted = validate_create(Signed, SIGNED)
    assert accepted.config == {"name": ""}
    kept = {name: each.reveal() for name, each in accepted.kept.items()}
    assert kept == {"key": "first", "url": "https://a.example/secret", "headers": '{"B":"2","A":"1"}'}
    read = render_config(Signed, accepted.config, accepted.kept)
    assert list(read.items()) == [*SIGNED.items(), ("name", "")]
    assert list(read["headers"]) == ["B", "A"]


def test_a_secret_that_is_read_and_not_there_has_its_default_and_a_required_one_is_empty() -> None:
    assert render_config(Signed, {}, {}) == {"key": None, "url": "", "headers": {}, "name": ""}
    assert validate_create(Signed, {"url": "u", "headers": {}}).kept == {"url": Secret("u")}


def test_a_patch_keeps_replaces_and_forgets_secrets_that_are_read() -> None:
    kept = validate_create(Signed, SIGNED).kept
    for same in ({}, {"headers": {"B": "2", "A": "1"}}, {**SIGNED, "name": ""}):
        assert not validate_patch(Signed, "signed", {"name": ""}, kept, same).changed
    other = validate_patch(Signed, "signed", {"name": ""}, kept, {"headers": {"C": "3"}})
    assert (other.changed, other.kept["headers"].reveal()) == (True, '{"C":"3"}')
    assert changed(kept, {"headers": {}})[0]["headers"] is None
    with pytest.raises(Invalid, match="invalid") as caught:
        validate_patch(Signed, "signed", {"name": ""}, kept, {"url": None, "headers": None})
    assert set(caught.value.detail) == {"url", "headers"}


def test_what_former_versions_kept_among_the_other_fields_is_read_and_sealed_with_the_next_change() -> None:
    stored_before = {**SIGNED, "name": ""}
    assert render_config(Signed, stored_before, {}) == stored_before
    after = validate_patch(Signed, "signed", stored_before, {}, {"name": "x"})
    assert (after.config, after.kept) == ({"name": "x"}, validate_create(Signed, SIGNED).kept)


def test_a_value_of_a_secret_that_is_read_is_not_shown_in_errors() -> None:
    class Choosy(IntegrationFields):
        pin: Annotated[int, Field(ge=10_000), SEALED]

    with pytest.raises(Invalid) as caught:
        validate_create(Choosy, {"pin": 1234})
    assert caught.value.detail == {"pin": "Must be at least 10000, not a number."}


def test_the_key_that_is_replaced_stays_good_for_a_while_and_none_other() -> None:
    kept = validate_create(Signed, SIGNED).kept
    secrets, retired = changed(kept, {"key": "second", "url": "u"})
    assert (secrets["key"], retired) == (Secret("second"), {"key.previous": Secret("first")})
    both = {**kept, "key": Secret("second"), "key.previous": Secret("first")}
    for same in ({"name": "x"}, {"key": "second"}):
        secrets, retired = changed(both, same)
        assert (secrets.get("key.previous", "left alone"), retired) == ("left alone", {})
    assert changed(both, {"key": "third"})[1] == {"key.previous": Secret("second")}


def test_a_key_that_is_taken_away_is_good_no_more_and_neither_is_the_one_before() -> None:
    kept = validate_create(Signed, SIGNED).kept
    secrets, retired = changed({**kept, "key.previous": Secret("zeroth")}, {"key": None})
    assert (secrets["key"], secrets["key.previous"], retired) == (None, None, {})
    assert changed({"url": Secret("u")}, {"key": "new"})[1] == {}


def test_a_field_that_the_vendor_has_not_is_read_only_while_it_is_not_the_default() -> None:
    assert "tidy" not in validate_create(Signed, {**SIGNED, "tidy": True}).config
    untidy = validate_create(Signed, {**SIGNED, "tidy": False})
    assert untidy.config["tidy"] is False
    assert render_config(Signed, untidy.config, untidy.kept)["tidy"] is False
    after = validate_patch(Signed, "signed", untidy.config, untidy.kept, {"tidy": True})
    assert (after.changed, "tidy" in render_config(Signed, after.config, after.kept)) == (True, False)
    kind = IntegrationType(key="signed", title="", summary="", fields=Signed, example={})
    schema = model_to_read(kind).model_json_schema()
    assert "tidy" not in schema["required"]
    assert schema["properties"]["tidy"]["default"] is True


def test_only_a_field_of_the_integration_itself_is_sealed_and_read() -> None:
    with pytest.raises(TypeError, match=r"Inner\.key: only a field of the integration itself"):
        type("Inner", (Fields,), {"__annotations__": {"key": Annotated[str, SEALED]}})
