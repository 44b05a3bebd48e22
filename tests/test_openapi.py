"""The server against its own description: requests that `/openapi.json` allows, and some that it does not."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from pellucid.serving.app import application
from pellucid.serving.service import Limits, Service
from served import small_model

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def described() -> Any:
    service = Service(small_model(labels=("cat", "dog")), "small", limits=Limits(samples=8, seconds=60), rows=4)
    yield schemathesis.openapi.from_asgi("/openapi.json", application(service, grace=1))
    service.batcher.close(5)


def test_every_operation_answers_as_described(described: Any) -> None:
    operations = [found.ok() for found in described.get_all_operations()]
    seen = {(operation.path, status) for operation in operations for status in statuses(operation)}
    assert {("/v1/samples", 200), ("/v1/samples", 400), ("/v1/images/generations", 400), ("/v1/models/{name}", 404)} <= seen


def statuses(operation: Any) -> set[int]:
    """What requests of this operation came to, each as described."""
    seen = set[int]()

    @given(operation.as_strategy())
    @settings(max_examples=30, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def answers(case: Any) -> None:
        seen.add(case.call_and_validate(checks=CHECKS).status_code)

    answers()
    return seen
