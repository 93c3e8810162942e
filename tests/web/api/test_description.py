"""The OpenAPI description: complete, and true (every answer in this folder's tests is held against it, see conftest)."""

from __future__ import annotations

import re

from portal.api.openapi import document
from portal.api.tokens import NEEDED
from portal.business.fields.base import declared
from portal.business.fields.service import ServiceFields
from portal.web.access import PUBLIC


def described():
    return {(path, method) for path, methods in document("x")["paths"].items() for method in methods}


def routed(app):
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/"):
            for method in rule.methods - {"HEAD", "OPTIONS"}:
                yield rule, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removeprefix("/api/v1")), method.lower()


def test_every_route_is_described_and_nothing_else(sqlite_app):
    assert described() == {(path, method) for _, path, method in routed(sqlite_app)}


def test_the_description_says_truly_who_needs_a_token(sqlite_app):
    paths = document("x")["paths"]
    for rule, path, method in routed(sqlite_app):
        assert (paths[path][method]["security"] == []) == (rule.endpoint in PUBLIC), path


def test_the_description_names_the_scope_of_each_operation(sqlite_app):
    paths = document("x")["paths"]
    for rule, path, method in routed(sqlite_app):
        if rule.endpoint not in PUBLIC:
            assert paths[path][method]["security"] == [{"token": [NEEDED[rule.endpoint]]}], path
            assert "403" in paths[path][method]["responses"], path


def test_every_reference_leads_somewhere(sqlite_app):
    told = sqlite_app.test_client().get("/api/v1/openapi.json").get_json()
    names = set(re.findall(r"#/components/schemas/(\w+)", str(told)))
    assert names
    assert names <= set(told["components"]["schemas"])


def test_the_description_is_that_of_the_declared_fields():
    """What may stand in a service is what may be told of one, and what is read of a booking is what is described of it."""
    told = document("x")["components"]["schemas"]
    public = {name for name, kind in declared(ServiceFields).items() if kind.is_public}
    assert set(told["Service"]["properties"]) == public | {"questions", "resources"} == set(told["Service"]["required"])
    horizon, timing, place = (told["Service"]["properties"][name] for name in ("horizon", "timing", "location_kind"))
    bounds = declared(ServiceFields)["horizon"].bounds
    assert (horizon["minimum"], horizon["maximum"], horizon["type"]) == (bounds.least, bounds.most, "integer")
    assert timing["enum"] == ["slots", "fixed"]
    assert place["enum"] == ["on-site", "online", "phone", None]
    assert told["Question"]["properties"]["choices"]["maxItems"] == 250
    body = told["BookingRequest"]
    assert set(body["properties"]) == {"service", "start_at", "resource", "party_size", "customer", "answers"}
    assert set(body["required"]) == {"service", "start_at", "customer"}
    assert body["properties"]["answers"]["maxProperties"] == 50


def test_the_parameters_of_a_query_are_described_as_they_are_read():
    operation = document("x")["paths"]["/availability"]["get"]
    told = {each["name"]: each for each in operation["parameters"]}
    assert list(told) == ["service", "from", "to", "resource", "zone", "party_size"]
    assert [name for name, each in told.items() if each["required"]] == ["service"]
    assert all(each["description"] and each["in"] == "query" for each in told.values())


def test_an_unknown_address_and_a_wrong_method_are_problems_too(sqlite_app):
    client = sqlite_app.test_client()
    for response, status in ((client.get("/api/v1/nothing"), 404), (client.put("/api/v1/services"), 405)):
        assert response.status_code == status
        assert response.mimetype == "application/problem+json"
