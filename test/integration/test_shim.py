"""heddle-shim between a node and functions that speak the Lambda Runtime API."""

import json

import pytest

import shimdriver
from hostdriver import Connection
from shimdriver import SHELL_BOOTSTRAP


@pytest.fixture
def start(tmp_path):
    shims = shimdriver.Shims(tmp_path)
    yield shims
    shims.end()


def test_a_shell_script_with_curl_is_a_function(start):
    shim = start(SHELL_BOOTSTRAP).loaded()
    for n in range(3):
        answer = shim.invoke({"n": n})
        assert answer.status == 200
        assert answer.field("x-heddle-function-error") is None
        assert answer.json() == {"echo": {"n": n}}
    assert shim.stop() == 0
