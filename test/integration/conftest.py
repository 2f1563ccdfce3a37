"""What the end-to-end tests share: nodes that are started, checked and stopped."""

import shutil
from pathlib import Path

import pytest

from awslambda import Gate, Lambda
from docker_engine import docker_node, engine  # fixtures
from heddle import Node

# Retries of events that a test can wait for.
AWS_SETTINGS = {"HEDDLE_LAMBDA_ASYNC_RETRY_DELAYS_MS": "100,100"}

FUNCTIONS = Path(__file__).parent / "functions"

# These take longest, in this order: begun last, one of them would run on when all others are done.
LONG = ["lanes_rabbitmq", "event_sources_rabbitmq", "shim_clients", "docker", "shim_node", "limits",
        "lambda_faults", "lambda_async", "reload", "lanes", "lanes_tour", "lambda_clients",
        "slow_clients", "lambda_around", "start_stop", "streaming", "statuses", "connections",
        "event_sources", "docker_remote", "pool", "lambda_place", "docker_pull", "lanes_helpers",
        "lambda_deploy", "chaos", "docker_image"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Long files first; within a file nothing moves."""
    places = {f"test_{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))



@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        for node in getattr(item, "nodes", []):
            item.add_report_section("call", "node output", node.text()[-20000:])


@pytest.fixture
def write_functions(tmp_path):
    """write_functions({'hello/index.ts': '...'}): a folder of functions of the test's own."""
    def write(files, folder="functions"):
        for name, text in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / folder).mkdir(exist_ok=True)
        return tmp_path / folder
    return write


@pytest.fixture
def start_node(tmp_path, request):
    """start_node(functions, '--flag', ..., env={}): a node for one test, checked at its end."""
    request.node.nodes = []

    def start(functions=None, *args, wait=True, **options):
        node = Node(tmp_path, functions or FUNCTIONS, *args, **options)
        request.node.nodes.append(node)
        return node.start() if wait else node.spawn()

    yield start
    try:
        for node in request.node.nodes:
            node.stop()
    finally:
        for node in request.node.nodes:
            node.kill()


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One node with the functions of test/integration/functions, for a file of tests."""
    cwd = tmp_path_factory.mktemp("node")
    node = Node(cwd, FUNCTIONS)
    try:
        yield node.start()
        node.stop()
    finally:
        node.kill()


@pytest.fixture(scope="module")
def aws_node(tmp_path_factory):
    """One node without a folder's functions, for a file of tests of the Lambda API."""
    cwd = tmp_path_factory.mktemp("aws")
    (cwd / "functions").mkdir()
    node = Node(cwd, cwd / "functions", env=AWS_SETTINGS)
    try:
        yield node.start()
        node.stop()
    finally:
        node.kill()


@pytest.fixture(scope="module")
def aws(aws_node):
    """Functions on it, through boto3."""
    return Lambda(aws_node)


@pytest.fixture
def gate():
    """What a handler waits for until the test lets it go on."""
    it = Gate()
    yield it
    it.close()


@pytest.fixture
def copied_functions(tmp_path):
    """A copy of test/integration/functions that a test may change."""
    return Path(shutil.copytree(FUNCTIONS, tmp_path / "functions"))
