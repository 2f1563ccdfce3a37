"""What the gateway itself answers: status, body and fields of each case."""

import re

import pytest

from heddle import INTERNAL_KEY, bearer, eventually, expect
from wire import Wire, get

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_liveness_asks_for_nothing(node):
    expect(node.get("/"), 200, {"status": "ok"})


def test_an_answer_of_a_function_goes_through(node):
    answer = node.get("hello?name=Ada")
    assert answer.status == 200
    assert answer.json() == {"message": "Hello, Ada!"}
    assert UUID7.fullmatch(answer.get("x-heddle-invocation-id"))


def test_each_invocation_has_its_own_id(node):
    ids = {node.get("hello").get("x-heddle-invocation-id") for _ in range(20)}
    assert len(ids) == 20


def test_an_unknown_function_is_404_without_an_id(node):
    answer = node.get("no-such-function")
    expect(answer, 404, {"error": 'Function "no-such-function" not found'})
    assert answer.get("x-heddle-invocation-id") is None


@pytest.mark.parametrize("headers", [
    {}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic dXNlcjpwYXNz"},
    bearer(exp=1), bearer(nbf=4102444800), bearer("a.b.c"),
])
def test_a_protected_function_needs_a_good_token(node, headers):
    answer = node.get("private", headers)
    expect(answer, 401, {"error": "Unauthorized"})
    assert answer.get("www-authenticate").startswith("Bearer")


def test_a_good_token_reaches_the_function(node):
    assert node.get("private", bearer()).json() == {
        "userId": "user-1", "email": "user@example.org", "role": "authenticated"}


def test_a_401_comes_before_the_body_is_read(node):
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/private", "Content-Length: 1000000", method="POST"))
        assert wire.answer().status == 401


def test_identity_fields_of_the_client_are_dropped(node):
    answer = node.get("headers", {"x-heddle-auth": "e30", "x-1tube-auth-user-id": "root",
                                  "x-heddle-id": "mine", "x-kept": "yes"})
    names = {name: value for name, value in answer.json()["headers"]}
    assert "x-1tube-auth-user-id" not in names
    assert names.get("x-heddle-auth") != "e30" and names.get("x-heddle-id") != "mine"
    assert names["x-kept"] == "yes"


def test_metrics_and_health_detail_need_the_key(node):
    expect(node.get("/metrics"), 403, {"error": "Forbidden"})
    expect(node.get("/metrics", {"authorization": "Bearer wrong"}), 403, {"error": "Forbidden"})
    assert set(node.get("/health").json()) == {"status"}
    key = {"authorization": "Bearer " + INTERNAL_KEY}
    assert node.get("/metrics", key).status == 200
    for detail in (node.get("/health", key).json(), node.admin("/health").json()):
        names = [function["name"] for function in detail["detail"]["functions"]]
        assert detail["function_count"] == len(names) >= 10 and "hello" in names


def test_a_function_that_cannot_load_makes_the_health_degraded(node):
    eventually(lambda: node.get("/health").json() == {"status": "degraded"}, what="the state")


def test_metrics_count_requests(node):
    node.get("hello")
    before = total(node, "heddle_requests_total")
    node.get("hello")
    eventually(lambda: total(node, "heddle_requests_total") > before, what="the count")
    assert node.admin("/metrics").get("content-type").startswith("text/plain; version=0.0.4")


def total(node, name):
    return sum(v for k, v in node.metrics().items() if k.split("{")[0] == name)


def test_a_body_over_the_limit_is_413(start_node):
    node = start_node(env={"HEDDLE_BODY_LIMIT_MB": "1"})
    answer = node.post("echo", b"x" * (1024 * 1024 + 1))
    expect(answer, 413, {"error": "Request body too large", "maxBytes": 1048576})
    assert len(node.post("echo", b"x" * 1048576).body) == 1048576


def test_a_chunked_body_over_the_limit_is_413(start_node):
    node = start_node(env={"HEDDLE_BODY_LIMIT_MB": "1"})
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/upload", "Transfer-Encoding: chunked", method="POST"))
        for _ in range(18):
            try:
                wire.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            except OSError:
                break
        answer = wire.answer()
        expect(answer, 413, {"error": "Request body too large", "maxBytes": 1048576})


def test_a_handler_that_throws_is_an_opaque_500(node):
    answer = node.get("throws")
    expect(answer, 500, {"error": "Internal server error"})
    assert b"secret" not in answer.body
    node.wait_record(lambda r: "the secret of this function" in str(r), what="the reason in the log")


def test_a_function_that_does_not_load_is_503(node):
    answer = eventually(lambda: not_warming(node.get("broken")), what="the failure")
    expect(answer, 503, {"error": 'Function "broken" failed to load',
                         "reason": "function_boot_failed"})
    assert answer.get("x-heddle-warming") is None


def not_warming(answer):
    return None if answer.get("x-heddle-warming") else answer


def test_a_broken_manifest_hurts_nobody_else(start_node, copied_functions):
    (copied_functions / "echo" / "heddle.json").write_text('{\n  "timeoutMs": "soon"\n}\n')
    node = start_node(copied_functions)
    assert node.get("hello").status == 200
    assert node.post("echo", b"x", bearer()).status == 503
    node.wait_record(lambda r: "timeoutMs" in str(r) and "heddle.json:2" in str(r),
                     what="file, line and key in the log")


def test_a_function_over_its_time_is_504(start_node):
    node = start_node(None, "--timeout", "300")
    node.get("hello")
    expect(node.get("slow?ms=20000"), 504, {"error": "Function execution timed out"})


def test_the_rate_limit_is_429_with_its_fields(start_node):
    node = start_node(env={"HEDDLE_DISABLE_RATE_LIMIT": None, "HEDDLE_DEFAULT_RPM": "3"})
    statuses = [node.get("hello").status for _ in range(3)]
    assert statuses == [200, 200, 200]
    answer = node.get("hello")
    wait = int(answer.get("retry-after"))
    assert 1 <= wait <= 20
    expect(answer, 429, {"error": "Rate limit exceeded", "retryAfterSeconds": wait})
    assert answer.get("ratelimit") and answer.get("ratelimit-policy")
    assert node.get("echo").status == 200  # another function, another bucket
    assert node.get("hello", bearer()).status == 200  # a user, not an address


def test_a_forged_address_does_not_change_the_bucket(start_node):
    node = start_node(env={"HEDDLE_DISABLE_RATE_LIMIT": None, "HEDDLE_DEFAULT_RPM": "2"})
    statuses = [node.get("hello", {"x-forwarded-for": f"10.0.0.{n}"}).status for n in range(4)]
    assert statuses == [200, 200, 429, 429]


def test_the_breaker_opens_and_says_when_to_come_back(start_node, write_functions):
    functions = write_functions({
        "flaky/index.ts": "Deno.serve(() => new Response('no', { status: 500 }));\n",
        "flaky/heddle.json": '{"verify_jwt": false, "recycle": {"errorRate": 0.5,'
                             ' "errorWindow": 4, "cooldownMs": 30000}}\n'})
    node = start_node(functions)
    assert [node.get("flaky").status for _ in range(4)] == [500] * 4
    answer = node.get("flaky")
    expect(answer, 503, {"error": "Service temporarily unavailable",
                         "reason": "circuit_breaker_open"})
    assert 1 <= int(answer.get("retry-after")) <= 33


def test_repeated_fields_stay_apart(node):
    answer = node.get("cookies")
    assert answer.status == 204
    assert answer.all("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
    assert answer.body == b""


def test_head_is_get_without_a_body(node):
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/hello", method="HEAD")).send(get("/functions/v1/hello"))
        assert wire.answer(to_head=True).status == 200
        assert wire.answer().json() == {"message": "Hello, world!"}


def test_a_node_function_answers_too(node):
    assert node.get("node-hello/x").json() == {"runtime": "node", "path": "/node-hello/x"}

