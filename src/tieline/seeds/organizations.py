"""Organizations with their members, read and written. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tieline.core.documents import JSON, Organization
from tieline.seeds.models import MemberPart, OrganizationPart
from tieline.seeds.problems import Names, enumerated
from tieline.seeds.seed import Reading, SeededMember, SeededOrganization, compact
from tieline.store.organizations import Member

_DIGITS: Final = 25


def read_organizations(reading: Reading, values: list[Any]) -> tuple[SeededOrganization, ...]:
    """The organizations of a file."""
    names = Names(reading.problems, "name")
    found: list[SeededOrganization] = []
    for index, (place, value) in enumerate(enumerated("organizations", values)):
        part = reading.problems.parse(OrganizationPart, place, value)
        if part is None:
            continue
        organization = _organization(reading, part, index)
        names.add(f"{place}.name", part.name)
        reading.ids("organization").add(f"{place}.id", organization.id)
        if part.is_default and any(each.organization.is_default for each in found):
            reading.problems.add(f"{place}.is_default", "Another organization is the default one already.")
        found.append(SeededOrganization(organization, _members(reading, f"{place}.members", part.members), place))
    return tuple(found)


def _organization(reading: Reading, part: OrganizationPart, index: int) -> Organization:
    return Organization(
        id=part.id or _id_of(part.name),
        name=part.name,
        label=part.label or part.name,
        owner=part.owner,
        is_default=part.is_default,
        created_at=part.created_at or reading.moment_of(index),
        updated_at=part.updated_at,
    )


def _id_of(name: str) -> str:
    """The same for the same name, in the form that the ids of organizations have."""
    return "0" + hashlib.sha256(f"organization\0{name}".encode()).hexdigest()[:_DIGITS].upper()


def _members(reading: Reading, place: str, values: list[Any]) -> tuple[SeededMember, ...]:
    users = Names(reading.problems, "member")
    members = []
    for index, (each_place, value) in enumerate(enumerated(place, values)):
        part = reading.problems.parse(MemberPart, each_place, value)
        if part is not None:
            users.add(f"{each_place}.user", part.user)
            created = part.created_at or reading.moment_of(index)
            members.append(SeededMember(part.user, part.role, created, f"{each_place}.user"))
    return tuple(members)


def write_organization(organization: Organization, members: Sequence[Member], usernames: Mapping[str, str]) -> JSON:
    """An organization as the file has it; `usernames` are by the ids of accounts."""
    values = {
        "id": organization.id,
        "name": organization.name,
        "label": organization.label,
        "owner": usernames[organization.owner],
        "is_default": organization.is_default,
        "members": [_write_member(each) for each in members],
        "created_at": organization.created_at,
        "updated_at": organization.updated_at,
    }
    return compact(OrganizationPart, values, "owner")


def _write_member(member: Member) -> JSON:
    values = {"user": member.account.username, "role": member.role, "created_at": member.created_at}
    return compact(MemberPart, values)
