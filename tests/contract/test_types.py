"""What every integration type keeps to, whatever it integrates with. A new type is tested by being in the list."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests.contract.samples import choices, full_body, replaced, without, writable
from tieline.api.documents import Writer
from tieline.core import wire
from tieline.core.documents import Integration
from tieline.core.errors import Invalid
from tieline.core.ports import Toolbox
from tieline.core.secret import Secret
from tieline.integrations import ALL
from tieline.integrations.base import IntegrationType, Registry
from tieline.integrations.fields import (
    UNLESS_DEFAULT,
    Accepted,
    Fields,
    Needs,
    basis_of,
    basis_of_default,
    is_read_only,
    is_write_only,
    mark_of,
    nested,
    render_config,
    sealed_names,
    validate_create,
    validate_patch,
    write_only_names,
)
from tieline.integrations.models import model_to_create, model_to_patch, model_to_read
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy

CANARY = "canary-7f3a9c51d2"
SENTENCE = re.compile(r"[A-Z].*[.?]\Z", re.DOTALL)

each_type = pytest.mark.parametrize("kind", ALL, ids=[kind.key for kind in ALL])
acting = pytest.mark.parametrize(
    "kind", [kind for kind in ALL if kind.acts], ids=[kind.key for kind in ALL if kind.acts]
)
waiting = pytest.mark.parametrize(
    "kind", [kind for kind in ALL if not kind.acts], ids=[kind.key for kind in ALL if not kind.acts]
)


def refused(kind: IntegrationType, body: dict[str, Any]) -> dict[str, str]:
    """The sentences for a body that must not pass; never one with the canary."""
    with pytest.raises(Invalid) as caught:
        validate_create(kind.fields, body)
    error = caught.value
    assert CANARY not in f"{error} {error!r} {error.detail} {error.__cause__!r} {error.__context__!r}"
    for name, sentence in error.detail.items():
        assert SENTENCE.match(sentence), f"{name}: {sentence!r} is not a sentence"
    return error.detail


def stored(kind: IntegrationType, accepted: Accepted) -> Integration:
    moment = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    secrets = {name: each for name, each in accepted.secrets.items() if each is not None}
    return Integration("integration23", "project234567", kind.key, accepted.config, moment, None, secrets)


def written(kind: IntegrationType, secret: str) -> dict[str, str]:
    """What a full body has in write-only fields, by dotted name, and in those that are sealed though they are read."""
    fields = kind.fields.model_fields
    hidden = {
        name: choices(fields[name])[-1] if name in fields and choices(fields[name]) else secret
        for name in write_only_names(kind.fields)
    }
    return hidden | {name: Secret.of(kind.example[name]).reveal() for name in sealed_names(kind.fields)}


def patched(kind: IntegrationType, present: Integration, body: dict[str, Any]) -> Accepted:
    return validate_patch(kind.fields, kind.key, present.config, present.secrets, body)


def shown(kind: IntegrationType, integration: Integration) -> dict[str, Any]:
    toolbox = Toolbox(GuardedClient(Policy(), "tests"), limiter=None, settings={})  # type: ignore[arg-type]
    return Writer("https://tieline.example", Registry((kind,), toolbox)).integration(integration)


@each_type
def test_the_declaration_is_complete(kind: IntegrationType) -> None:
    assert re.fullmatch(r"[a-z][a-z_.]*", kind.key)
    assert kind.title
    assert kind.summary.endswith(".")
    for setting in kind.settings:
        assert setting.name.startswith("TIELINE_")
        assert setting.help.endswith(".")
    helpless = [name for name in _help(kind.fields) if not str(_help(kind.fields)[name]).endswith(".")]
    assert helpless == []
    assert (kind.hook_format is None) == (kind.hook_events == ())


@acting
def test_a_type_that_acts_plays_a_role(kind: IntegrationType) -> None:
    assert kind.is_git_source == (kind.source is not None)
    assert _roles(kind) != []


@waiting
def test_a_type_that_does_not_act_yet_says_so_and_plays_no_role(kind: IntegrationType) -> None:
    assert SENTENCE.match(kind.not_yet)
    assert _roles(kind) == []
    assert kind.settings == ()


def _roles(kind: IntegrationType) -> list[str]:
    names = ("source", "hook_registrar", "status_reporter", "sink", "validator", "hook_format")
    return [name for name in names if getattr(kind, name) is not None]


@each_type
def test_it_is_known_what_every_field_and_every_default_rests_on(kind: IntegrationType) -> None:
    for name, field in kind.fields.model_fields.items():
        assert SENTENCE.match(basis_of(field).note), name
        assert (basis_of_default(field) is None) == field.is_required(), name


def _help(fields: type[Fields], prefix: str = "") -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, field in fields.model_fields.items():
        found[prefix + name] = field.description
        if (inner := nested(field)) is not None:
            found |= _help(inner, f"{prefix}{name}.")
    return found


def test_keys_are_unique() -> None:
    assert len({kind.key for kind in ALL}) == len(ALL)


@each_type
def test_the_example_is_accepted_with_and_without_its_type(kind: IntegrationType) -> None:
    given_type = {"type": kind.key, **kind.example}
    plain = {name: value for name, value in kind.example.items() if name != "type"}
    assert validate_create(kind.fields, given_type) == validate_create(kind.fields, plain)
    model_to_create(kind).model_validate(given_type)


@each_type
def test_a_required_field_that_is_missing_is_named(kind: IntegrationType) -> None:
    for name, required in writable(kind):
        body = without(full_body(kind, CANARY), name)
        if required:
            assert refused(kind, body)[name].startswith("This field is required.")
        else:
            assert validate_create(kind.fields, body).changed


@each_type
def test_a_required_field_may_not_be_null(kind: IntegrationType) -> None:
    for name, required in writable(kind):
        if required:
            assert "null" in refused(kind, replaced(full_body(kind, CANARY), name, None))[name]


@each_type
@pytest.mark.parametrize("value", [2.5, [2.5], [[CANARY]]], ids=["fraction", "list", "lists"])
def test_a_value_of_the_wrong_type_is_told(kind: IntegrationType, value: object) -> None:
    for name, _ in writable(kind):
        detail = refused(kind, replaced(full_body(kind, CANARY), name, value))
        assert [each for each in detail if each == name or each.startswith(f"{name}.")]


@each_type
def test_an_unknown_field_is_answered_with_the_nearest_known(kind: IntegrationType) -> None:
    for name, _ in writable(kind):
        detail = refused(kind, replaced(full_body(kind, CANARY), f"{name}x", CANARY))
        assert name.rpartition(".")[2] in detail[f"{name}x"]


@each_type
def test_a_field_like_no_other_is_refused_too(kind: IntegrationType) -> None:
    assert refused(kind, {**kind.example, "zzzzzz": CANARY}) == {"zzzzzz": "There is no such field."}


@each_type
def test_numbers_and_strings_are_no_booleans_and_booleans_no_numbers(kind: IntegrationType) -> None:
    accepted = validate_create(kind.fields, full_body(kind, CANARY))
    for name, _ in writable(kind):
        value = accepted.config.get(name)
        if isinstance(value, bool):
            for wrong in (0, 1, "true", "false"):
                assert "Must be true or false" in refused(kind, replaced(full_body(kind, CANARY), name, wrong))[name]
        elif isinstance(value, int):
            assert name in refused(kind, replaced(full_body(kind, CANARY), name, True))


@each_type
def test_fields_that_clients_send_all_the_same_are_let_pass(kind: IntegrationType) -> None:
    extra = dict.fromkeys(kind.fields.also_accepted, False)
    assert validate_create(kind.fields, {**kind.example, **extra}) == validate_create(kind.fields, kind.example)


@each_type
def test_secrets_are_kept_apart_and_never_shown(kind: IntegrationType) -> None:
    accepted = validate_create(kind.fields, full_body(kind, CANARY))
    assert {name: each.reveal() for name, each in accepted.secrets.items() if each} == written(kind, CANARY)
    integration = stored(kind, accepted)
    places = [accepted.config, shown(kind, integration), wire.render_integration_fields(integration)]
    assert (
        CANARY
        not in f"{accepted!r} {integration!r} {places} {render_config(kind.fields, accepted.config, accepted.kept)}"
    )


@each_type
def test_a_secret_that_is_read_is_shown_to_readers_and_nowhere_else(kind: IntegrationType) -> None:
    integration = stored(kind, validate_create(kind.fields, kind.example))
    document, payload = shown(kind, integration), wire.render_integration_fields(integration)
    for name in sealed_names(kind.fields):
        assert document[name] == kind.example[name]
        assert name not in integration.config
        assert name not in payload
        assert str(kind.example[name]) not in repr(integration)


@each_type
def test_what_is_read_has_no_place_for_secrets(kind: IntegrationType) -> None:
    schema = orjson.dumps(model_to_read(kind).model_json_schema()).decode()
    names = [name.rpartition(".")[2] for name in write_only_names(kind.fields)]
    assert [name for name in names if f'"{name}":' in schema] == []
    model_to_read(kind).model_validate(shown(kind, stored(kind, validate_create(kind.fields, kind.example))))


@each_type
def test_what_is_read_has_every_readable_field_in_its_order(kind: IntegrationType) -> None:
    document = shown(kind, stored(kind, validate_create(kind.fields, kind.example)))
    common = ["id", "created_at", "updated_at", "type", "role"]
    fields = kind.fields.model_fields
    readable = [
        each for each, field in fields.items() if not is_write_only(field) and UNLESS_DEFAULT not in field.metadata
    ]
    assert list(document) == [*common, *readable, "_links"]


@each_type
def test_a_patch_requires_nothing_and_an_empty_one_changes_nothing(kind: IntegrationType) -> None:
    integration = stored(kind, validate_create(kind.fields, full_body(kind, CANARY)))
    after = patched(kind, integration, {})
    assert not after.changed
    assert (after.config, dict(after.secrets)) == (integration.config, dict(integration.secrets))
    model_to_patch(kind).model_validate({})


@each_type
def test_a_document_sent_back_as_it_was_read_changes_nothing(kind: IntegrationType) -> None:
    integration = stored(kind, validate_create(kind.fields, full_body(kind, CANARY)))
    after = patched(kind, integration, orjson.loads(orjson.dumps(shown(kind, integration))))
    assert not after.changed
    assert dict(after.secrets) == dict(integration.secrets)


@each_type
def test_a_patch_to_another_type_is_refused(kind: IntegrationType) -> None:
    integration = stored(kind, validate_create(kind.fields, kind.example))
    for other in ("another", 5, None, CANARY):
        with pytest.raises(Invalid) as caught:
            patched(kind, integration, {"type": other})
        assert list(caught.value.detail) == ["type"]
        assert CANARY not in str(caught.value.detail)


@each_type
def test_a_switch_that_is_patched_changes_no_other_field_but_those_that_need_it(kind: IntegrationType) -> None:
    integration = stored(kind, validate_create(kind.fields, full_body(kind, CANARY)))
    for name, value in integration.config.items():
        if not isinstance(value, bool) or is_read_only(kind.fields.model_fields[name]):
            continue
        after = patched(kind, integration, {name: not value})
        assert after.changed
        assert after.config == {**integration.config, **dict.fromkeys(_in_need(kind, name), False), name: not value}


@each_type
def test_a_switch_is_off_while_the_one_that_it_needs_is(kind: IntegrationType) -> None:
    for name, field in kind.fields.model_fields.items():
        if (needed := mark_of(field, Needs)) is not None:
            body = {**full_body(kind, CANARY), name: True}
            assert validate_create(kind.fields, {**body, needed.switch: False}).config[name] is False
            assert validate_create(kind.fields, {**body, needed.switch: True}).config[name] is True


def _in_need(kind: IntegrationType, switch: str) -> list[str]:
    fields = kind.fields.model_fields.items()
    return [name for name, field in fields if mark_of(field, Needs) == Needs(switch)]


@each_type
def test_what_only_tieline_sets_survives_a_patch(kind: IntegrationType) -> None:
    integration = stored(kind, validate_create(kind.fields, full_body(kind, CANARY)))
    ours = {
        name: {"a token": "that expires"}
        for name, field in kind.fields.model_fields.items()
        # What is read from a secret follows the secret.
        if is_read_only(field) and name != "token_type"
    }
    known = replace(integration, config={**integration.config, **ours})
    after = patched(kind, known, full_body(kind, "another secret"))
    assert {name: after.config[name] for name in ours} == ours


@each_type
def test_a_nullable_object_set_to_null_takes_its_secrets_along(kind: IntegrationType) -> None:
    integration = stored(kind, validate_create(kind.fields, full_body(kind, CANARY)))
    for name, field in kind.fields.model_fields.items():
        inner = nested(field)
        if inner is None or not list(write_only_names(inner)):
            continue
        after = patched(kind, integration, {name: None})
        assert after.config[name] is None
        assert {each: after.secrets[each] for each in write_only_names(inner, f"{name}.")} == dict.fromkeys(
            write_only_names(inner, f"{name}.")
        )


@each_type
def test_secrets_stay_unless_their_object_becomes_another(kind: IntegrationType) -> None:
    integration = stored(kind, validate_create(kind.fields, full_body(kind, CANARY)))
    for name, field in kind.fields.model_fields.items():
        inner = nested(field)
        if inner is None or not list(write_only_names(inner)):
            continue
        assert not patched(kind, integration, {name: integration.config[name]}).changed
        other = {part: f"another {part}" for part in integration.config[name]}
        with pytest.raises(Invalid) as caught:
            patched(kind, integration, {name: other})
        assert list(caught.value.detail) == list(write_only_names(inner, f"{name}."))


@each_type
def test_a_patch_with_a_new_secret_is_a_change(kind: IntegrationType) -> None:
    integration = stored(kind, validate_create(kind.fields, full_body(kind, CANARY)))
    after = patched(kind, integration, full_body(kind, "another secret"))
    assert after.changed is bool(list(write_only_names(kind.fields)))
    assert {name: each.reveal() for name, each in after.secrets.items() if each} == written(kind, "another secret")


@each_type
def test_an_integration_of_before_a_field_existed_reads_its_default(kind: IntegrationType) -> None:
    integration = stored(kind, validate_create(kind.fields, kind.example))
    for name, field in kind.fields.model_fields.items():
        if (
            field.is_required()
            or is_write_only(field)
            or is_read_only(field)
            or nested(field) is not None
            or name not in integration.config
        ):
            continue
        older = replace(integration, config=without(integration.config, name))
        assert shown(kind, older)[name] == field.get_default(call_default_factory=True)
        assert not patched(kind, older, {}).changed


def test_every_secret_of_a_stored_integration_prints_as_a_mask() -> None:
    assert CANARY not in repr(stored(ALL[0], Accepted({}, {"a": Secret(CANARY)})))
