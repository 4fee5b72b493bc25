"""Tests of code that speaks to the Upsun API, with Tieline as the other end. Nothing has to be imported for that."""


def test_the_projects_of_the_seed_are_there(tieline_server):
    titles = [each["title"] for each in tieline_server.get("/projects")]
    assert titles == ["Shop", "Blog"]


def test_a_project_of_the_test_alone(tieline_project):
    body = {"type": "webhook", "url": "https://hooks.example.com/"}
    tieline_project.call("POST", "/integrations", body)
    assert [each["type"] for each in tieline_project.get("/integrations")] == ["webhook"]


def test_the_next_test_finds_nothing_of_it(tieline_project):
    assert tieline_project.get("/integrations") == []
