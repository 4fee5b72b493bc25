"""Users with their API tokens, read and written. Pure but for where secrets are looked up."""

from collections.abc import Sequence
from typing import Any

from tieline.core.documents import JSON, Account, APIToken
from tieline.core.ids import ID_LENGTH, short_hash
from tieline.core.secret import Secret
from tieline.seeds.models import TokenPart, UserPart
from tieline.seeds.problems import Names, enumerated
from tieline.seeds.references import Variables
from tieline.seeds.seed import Reading, SeededUser, compact


def read_users(reading: Reading, values: list[Any]) -> tuple[SeededUser, ...]:
    """The users of a file."""
    usernames = Names(reading.problems, "username")
    users = []
    for index, (place, value) in enumerate(enumerated("users", values)):
        part = reading.problems.parse(UserPart, place, value)
        if part is not None:
            user = _user(reading, place, part, index)
            usernames.add(f"{place}.username", part.username)
            reading.ids("user").add(f"{place}.id", user.account.id)
            users.append(user)
    return tuple(users)


def _user(reading: Reading, place: str, part: UserPart, index: int) -> SeededUser:
    account = Account(
        id=part.id or short_hash("user", part.username, length=ID_LENGTH),
        username=part.username,
        email=part.email or f"{part.username}@localhost",
        first_name=part.first_name,
        last_name=part.last_name,
        is_operator=part.is_operator,
        created_at=part.created_at or reading.moment_of(index),
        updated_at=part.updated_at,
    )
    return SeededUser(account, _tokens(reading, f"{place}.tokens", account, part.tokens), place)


def _tokens(reading: Reading, place: str, account: Account, values: list[Any]) -> tuple[tuple[APIToken, Secret], ...]:
    found = []
    for index, (each_place, value) in enumerate(enumerated(place, values)):
        part = reading.problems.parse(TokenPart, each_place, value)
        if part is None:
            continue
        secret = reading.secret(part.token, each_place, f"the API token {part.name!r} of {account.username}")
        if secret is not None:
            found.append((_token(reading, account, part, index), secret))
    return tuple(found)


def _token(reading: Reading, account: Account, part: TokenPart, index: int) -> APIToken:
    return APIToken(
        id=part.id or short_hash("token", account.id, part.name, str(index), length=ID_LENGTH),
        account_id=account.id,
        name=part.name,
        created_at=part.created_at or reading.moment_of(index),
        expires_at=part.expires_at,
        last_used_at=part.last_used_at,
    )


def write_user(account: Account, tokens: Sequence[APIToken], variables: Variables) -> JSON:
    """A user as the file has it. Values of tokens are known to nobody, so each refers to a variable."""
    values = {
        "id": account.id,
        "username": account.username,
        "email": account.email,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "is_operator": account.is_operator,
        "created_at": account.created_at,
        "updated_at": account.updated_at,
        "tokens": [_write_token(account, each, variables) for each in tokens],
    }
    return compact(UserPart, values)


def _write_token(account: Account, token: APIToken, variables: Variables) -> JSON:
    values = {
        "id": token.id,
        "name": token.name,
        "token": variables.refer(None, "api_token", account.username, token.id),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
    }
    return compact(TokenPart, values)
