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
    service = Service(small_model(labels=("cat", "dog")), "small", limits=Limits(samples=8, seconds=5), rows=4)
    yield schemathesis.openapi.from_asgi("/openapi.json", application(service, grace=1))
    service.batcher.close(5)


def test_every_operation_answers_as_described(described: Any) -> None:
    for found in described.get_all_operations():
        operation = found.ok()

        @given(operation.as_strategy())
        @settings(max_examples=4, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def answers(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        answers()
