"""The API over plain HTTP: what a test prepares, and what it compares with what a client says."""

# ruff: noqa: S310 - every URL here leads to the loopback address

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONSUMER = {"key": "sample-key", "secret": "sample-secret"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Api:
    server: str
    token: str

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send exactly this, and nothing that identifies anybody."""
        request = urllib.request.Request(self.server + path, body, dict(headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, dict(refused.headers), refused.read())

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        """Send JSON as the owner of the token."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return self.send(method, path, None if body is None else json.dumps(body).encode(), headers)

    def read(self, path: str) -> Any:
        """The document at a path that is there."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer
        return answer.document

    def create(self, path: str, body: Any) -> Any:
        """The entity that was created."""
        answer = self.call("POST", path, body)
        assert answer.status == 201, answer
        return answer.document["_embedded"]["entity"]

    def access_token(self) -> str:
        """A short-lived token for the owner's API token."""
        form = urllib.parse.urlencode({"grant_type": "api_token", "api_token": self.token}).encode()
        issued: str = self.send("POST", "/oauth2/token", form).document["access_token"]
        return issued

    def create_project(self, title: str) -> str:
        created: str = self.create("/projects", {"title": title})["id"]
        return created

    def create_viewer(self, project: str) -> str:
        """The token of a new user who may look at the project."""
        name = f"viewer-{project}"
        user = self.call("POST", "/users", {"username": name, "email": f"{name}@example.com"}).document["id"]
        granted = self.call("POST", f"/projects/{project}/user-access", [{"user_id": user, "permissions": ["viewer"]}])
        assert granted.status == 200, granted
        token: str = self.call("POST", f"/users/{user}/api-tokens", {"name": "viewer"}).document["token"]
        return token

    def add(self, project: str, **fields: Any) -> str:
        """The id of a new integration."""
        created: str = self.create(f"/projects/{project}/integrations", fields)["id"]
        return created

    def follow(self, project: str, repository: str) -> str:
        return self.add(
            project,
            type="bitbucket",
            repository=repository,
            app_credentials=CONSUMER,
            fetch_branches=True,
            prune_branches=True,
            build_pull_requests=True,
        )

    def unfollow(self, project: str) -> None:
        for each in self.integrations(project):
            self.call("DELETE", f"/projects/{project}/integrations/{each['id']}")

    def integrations(self, project: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.read(f"/projects/{project}/integrations")
        return listed

    def environment(self, project: str, name: str) -> dict[str, Any]:
        read: dict[str, Any] = self.read(f"/projects/{project}/environments/{name}")
        return read

    def operate(self, project: str, environment: str, operation: str) -> str:
        """The id of the activity that an operation on an environment began."""
        answer = self.call("POST", f"/projects/{project}/environments/{environment}/{operation}")
        assert answer.status == 200, answer
        (activity,) = answer.document["_embedded"]["activities"]
        begun: str = activity["id"]
        return begun

    def is_settled(self, project: str) -> bool:
        """Whether there are environments, and nothing of the project is still to be done."""
        unfinished = self.read(f"/projects/{project}/activities?state=pending&state=in_progress")
        return not unfinished and bool(self.read(f"/projects/{project}/environments"))
