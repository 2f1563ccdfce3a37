"""Metrics and health: what is there, that it adds up, and who may see it."""

import re
import threading

import pytest

from heddle import INTERNAL_KEY, Node, eventually
from sources import INSTANCE, OPEN, manifest
from wire import Wire, get

KEY = {"authorization": "Bearer " + INTERNAL_KEY}

# name: type, of those that a dashboard is built on.
PROMISED = {
    "heddle_build_info": "gauge", "heddle_uptime_seconds": "gauge",
    "heddle_requests_total": "counter", "heddle_errors_total": "counter",
    "heddle_requests_in_flight": "gauge",
    "heddle_connections": "gauge", "heddle_connections_refused_total": "counter",
    "heddle_functions": "gauge", "heddle_reloads_total": "counter",
    "heddle_function_invocations_total": "counter", "heddle_function_errors_total": "counter",
    "heddle_function_responses_total": "counter", "heddle_function_duration_ms_avg": "gauge",
    "heddle_function_bytes_in_total": "counter", "heddle_function_bytes_out_total": "counter",
    "heddle_function_breaker_open": "gauge", "heddle_function_breaker_state": "gauge",
    "heddle_function_error_rate": "gauge", "heddle_rejected_total": "counter",
    "heddle_request_duration_seconds": "histogram", "heddle_queue_wait_seconds": "histogram",
    "heddle_cold_start_seconds": "histogram", "heddle_pool_instances": "gauge",
    "heddle_pool_waiting": "gauge", "heddle_pool_in_flight": "gauge",
    "heddle_pool_memory_bytes": "gauge", "heddle_pool_cpu_seconds": "gauge",
    "heddle_pool_launches_total": "counter", "heddle_pool_crashes_total": "counter",
    "heddle_pool_recycles_total": "counter", "heddle_log_dropped_total": "counter",
    "heddle_resident_memory_bytes": "gauge",
}
SAMPLE = re.compile(r'([a-z_]+)(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})?'
                    r' (-?[0-9.e+-]+|NaN|\+Inf)')


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("metrics")
    for name in ("work", "other"):
        folder = cwd / "functions" / name
        folder.mkdir(parents=True)
        (folder / "index.ts").write_text(INSTANCE)
        (folder / "heddle.json").write_text(OPEN)
    node = Node(cwd, cwd / "functions")
    try:
        yield node.start()
        node.stop()
    finally:
        node.kill()


def scrape(node):
    """{family: type}, [(name, labels, value)]; every line must be of the text format."""
    types, samples = {}, []
    for line in node.admin("/metrics").body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"{name} twice"
            types[name] = kind
        elif line.startswith("# HELP "):
            assert len(line.split(" ", 3)[3]) > 3
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            labels = dict(re.findall(r'([a-z_]+)="([^"]*)"', found[2] or ""))
            samples.append((found[1], labels, float(found[3])))
    return types, samples


def family(name):
    return re.sub(r"_(bucket|sum|count)$", "", name)


def test_the_promised_metrics_are_there_with_their_types(node):
    node.get("work?ms=1")
    types, samples = scrape(node)
    for name, kind in PROMISED.items():
        assert types.get(name) == kind, name
    for name, _, value in samples:
        assert name in types or types.get(family(name)) == "histogram", name
        assert value >= 0, name


def test_histograms_are_cumulative_and_their_count_is_that_of_the_requests(node):
    for _ in range(5):
        node.get("work")
    _, samples = scrape(node)
    series = {}
    for name, labels, value in samples:
        if name.endswith("_bucket"):
            key = (name, labels["function"])
            series.setdefault(key, []).append((float(labels["le"].replace("+Inf", "inf")), value))
    assert series
    for (name, function), buckets in series.items():
        values = [value for _, value in sorted(buckets)]
        assert values == sorted(values) and sorted(buckets)[-1][0] == float("inf")
        count = [v for n, l, v in samples
                 if n == name.replace("_bucket", "_count") and l["function"] == function]
        assert count == [values[-1]], name
    requests = {l["function"]: v for n, l, v in samples if n == "heddle_function_invocations_total"}
    timed = {l["function"]: v for n, l, v in samples if n == "heddle_request_duration_seconds_count"}
    assert timed["work"] == requests["work"] >= 5
    by_class = sum(v for n, l, v in samples
                   if n == "heddle_function_responses_total" and l["function"] == "work")
    assert by_class == requests["work"]


def test_paths_and_unknown_names_make_no_series(node):
    node.get("work")
    before = len(scrape(node)[1])
    for n in range(30):
        node.get(f"work/{n}/x")
        node.get(f"no-such-function-{n}")
    assert len(scrape(node)[1]) <= before + 2


def test_requests_under_way_are_a_gauge(node):
    name = 'heddle_requests_in_flight{function="other"}'
    node.get("other")
    assert node.metrics()[name] == 0
    threads = [threading.Thread(target=node.get, args=("other?ms=1500",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: node.metrics()[name] == 3, what="three requests")
    for thread in threads:
        thread.join()
    assert node.metrics()[name] == 0


def test_the_public_port_wants_the_key_and_the_admin_socket_does_not(node):
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic " + INTERNAL_KEY},
                    {"apikey": INTERNAL_KEY}):
        answer = node.get("/metrics", headers)
        assert answer.status == 403 and answer.json() == {"error": "Forbidden"}
    assert node.get(f"/metrics?key={INTERNAL_KEY}").status == 403
    answer = node.get("/metrics", KEY)
    assert answer.status == 200
    assert answer.get("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    assert node.get("/metrics", {"authorization": "bearer " + INTERNAL_KEY}).status == 200
    assert node.admin("/metrics").status == 200
    assert node.request("HEAD", "/metrics", KEY).status == 200


def test_without_a_key_of_its_own_nobody_has_it(start_node, write_functions):
    node = start_node(write_functions({"work/index.ts": INSTANCE, "work/heddle.json": OPEN}),
                      env={"INTERNAL_KEY": None})
    for headers in ({}, {"authorization": "Bearer "}, {"authorization": "Bearer"}, KEY):
        assert node.get("/metrics", headers).status == 403
        assert set(node.get("/health", headers).json()) == {"status"}


def test_health_is_for_everybody_and_details_for_who_has_the_key(node):
    assert node.get("/health").json() == {"status": "ok"}
    assert node.get("/livez").status == 200 and node.get("/readyz").status == 200
    detail = node.get("/health", KEY).json()
    assert detail["status"] == "ok" and detail["function_count"] == 2
    assert {f["name"] for f in detail["detail"]["functions"]} == {"work", "other"}
    assert detail["uptime_ms"] > 0 and detail["version"]


def test_what_is_no_page_is_404(node):
    for path in ("/healthz/x", "/metrics/", "/heddle/functions", "/heddle/logs", "/functions/v2/a"):
        assert node.get(path, KEY).status == 404, path
    assert node.post("/heddle/reload", b"", KEY).status == 404  # the admin's, not the public's


def test_pages_take_no_bodies_and_mind_none(node):
    with Wire(node.port) as wire:
        for _ in range(3):
            wire.send(get("/health", "Content-Length: 5", method="POST") + "hello")
            assert wire.answer().status in (404, 405)
            wire.send(get("/health", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n")
            assert wire.answer().status == 200


def test_readiness_while_it_starts_and_while_it_drains(start_node, write_functions):
    late = "await new Promise((done) => setTimeout(done, 1500));\n" + INSTANCE
    node = start_node(write_functions({"late/index.ts": late, "late/heddle.json": OPEN}),
                      "--drain-delay", "3000", wait=False)
    starting = eventually(lambda: asked(node, "/readyz"), what="the admin socket")
    assert starting.status == 503 and starting.json() == {"status": "starting"}
    assert node.admin("/livez").status == 200
    ready = node.wait_record(lambda r: r.get("msg") == "ready")
    node.port = ready["port"]
    assert node.get("/readyz").status == 200 and node.admin("/readyz").status == 200
    node.process.terminate()
    node.wait_record(lambda r: r["msg"] == "shutting down")
    answer = node.get("/readyz")
    assert answer.status == 503 and answer.json() == {"status": "draining"}
    assert node.get("late").status == 200  # who comes before the balancer knows is still served
    assert node.get("/livez").status == 200
    assert node.wait() == 0


def asked(node, path):
    try:
        return node.admin(path)
    except OSError:
        return None


def test_limits_of_a_function_do_not_hide_its_metrics(start_node, write_functions):
    node = start_node(write_functions({
        "work/index.ts": INSTANCE, "work/heddle.json": manifest(rpm=1)}),
        env={"HEDDLE_DISABLE_RATE_LIMIT": None})
    assert [node.get("work").status for _ in range(3)] == [200, 429, 429]
    answers = 'heddle_function_responses_total{function="work",class="4xx"}'
    eventually(lambda: node.metrics().get(answers) == 2)  # counted once they are sent
    metrics = node.metrics()
    assert metrics['heddle_rejected_total{function="work",reason="rate_limit"}'] == 2
    assert metrics["heddle_errors_total"] == 2 and metrics["heddle_requests_total"] == 3
