"""Cross-origin requests through the real program."""

import pytest

from heddle import Node, run
from sources import OPEN, says

APP = "https://app.example.com"
FUNCTIONS = {
    "open/index.ts": says("ok"),
    "open/heddle.json": OPEN,
    "guarded/index.ts": says("ok"),
    "vary/index.ts": "Deno.serve(() => new Response('', { headers: { vary: 'accept' } }));\n",
    "vary/heddle.json": OPEN,
    "loud/index.ts": "Deno.serve(() => new Response('', { headers: {"
                     " 'access-control-allow-origin': '*', 'access-control-allow-methods': '*',"
                     " vary: 'Origin' } }));\n",
    "loud/heddle.json": OPEN,
    "own/index.ts": "Deno.serve((req) => new Response(req.method, { headers: {"
                    " 'access-control-allow-origin': 'https://own.test' } }));\n",
    "own/heddle.json": '{ "verify_jwt": false, "cors": "function" }\n',
}


def write(folder):
    for name, text in FUNCTIONS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("cors")
    node = Node(cwd, write(cwd / "functions"), "--cors-origin",
                f"{APP},*.apps.example.com,http://localhost:5173",
                env={"HEDDLE_CORS_MAX_AGE": "600"})
    try:
        yield node.start()
        node.stop()
    finally:
        node.kill()


def preflight(node, origin, path="open", **more):
    headers = {"access-control-request-method": "POST", **more}
    if origin:
        headers["origin"] = origin
    return node.request("OPTIONS", path, headers)


def vary(answer):
    return {word.strip().lower() for value in answer.all("vary") for word in value.split(",")}


@pytest.mark.parametrize("origin", [APP, "https://a.apps.example.com", "https://a.b.apps.example.com",
                                    "http://localhost:5173"])
def test_a_preflight_of_an_allowed_origin(node, origin):
    answer = preflight(node, origin)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.get("access-control-allow-origin") == origin
    assert answer.get("access-control-allow-credentials") == "true"
    assert answer.get("access-control-max-age") == "600"
    assert "authorization" in answer.get("access-control-allow-headers")
    assert "PATCH" in answer.get("access-control-allow-methods")
    assert "origin" in vary(answer)


@pytest.mark.parametrize("origin", [
    "https://evil.example.com", "http://app.example.com", "https://app.example.com:8443",
    "https://apps.example.com", "https://app.example.com.evil.test", "null",
    "https://evilapps.example.com", "http://localhost:5174"])
def test_a_preflight_of_another_origin_gets_no_permission(node, origin):
    answer = preflight(node, origin)
    assert answer.status == 204
    assert answer.get("access-control-allow-origin") is None
    assert answer.get("access-control-allow-credentials") is None
    assert "origin" in vary(answer)


def test_a_preflight_needs_no_token_and_no_function(node):
    assert preflight(node, APP, "guarded").status == 204
    assert preflight(node, APP, "no-such-function").status == 204


def test_answers_carry_the_fields_too(node):
    answer = node.get("open", {"origin": APP})
    assert answer.get("access-control-allow-origin") == APP
    assert "x-heddle-invocation-id" in answer.get("access-control-expose-headers")
    refused = node.get("guarded", {"origin": APP})
    assert refused.status == 401
    assert refused.get("access-control-allow-origin") == APP
    missing = node.get("no-such-function", {"origin": APP})
    assert missing.status == 404
    assert missing.get("access-control-allow-origin") == APP


def test_vary_is_added_to_what_the_function_says(node):
    for origin in (APP, "https://evil.test"):
        assert vary(node.get("vary", {"origin": origin})) == {"accept", "origin"}


def test_what_a_function_says_opens_no_door_that_the_gateway_keeps(node):
    foreign = node.get("loud", {"origin": "https://evil.test"})
    assert foreign.status == 200
    assert foreign.get("access-control-allow-origin") is None
    assert foreign.get("access-control-allow-methods") is None
    allowed = node.get("loud", {"origin": APP})
    assert allowed.all("access-control-allow-origin") == [APP]
    assert allowed.get("access-control-allow-methods") is None


def test_a_function_may_answer_for_itself(node):
    answer = preflight(node, APP, "own")
    assert (answer.status, answer.body) == (200, b"OPTIONS")
    assert answer.all("access-control-allow-origin") == ["https://own.test"]


def test_a_private_network_is_answered(node):
    answer = preflight(node, APP, **{"access-control-request-private-network": "true"})
    assert answer.get("access-control-allow-private-network") == "true"


def test_without_origins_it_is_off_in_production(start_node, tmp_path):
    node = start_node(write(tmp_path / "functions"))
    for answer in (preflight(node, APP), node.get("open", {"origin": APP})):
        assert answer.get("access-control-allow-origin") is None
    assert preflight(node, APP).status == 204


def test_in_development_any_origin_may(start_node, tmp_path):
    node = start_node(write(tmp_path / "functions"), command="dev")
    answer = node.get("open", {"origin": "http://localhost:3000"})
    assert answer.get("access-control-allow-origin") in ("*", "http://localhost:3000")
    assert answer.get("access-control-allow-credentials") is None


def test_enforced_it_refuses_other_origins(start_node, tmp_path):
    node = start_node(write(tmp_path / "functions"), "--cors-origin", APP, "--cors-enforce")
    assert node.get("open", {"origin": "https://evil.test"}).status == 403
    assert preflight(node, "https://evil.test").status == 403
    assert node.get("open", {"origin": APP}).status == 200
    assert node.get("open").status == 200


def test_credentials_for_any_origin_are_refused_at_the_start(tmp_path):
    done = run(tmp_path, "serve", write(tmp_path / "functions"), "--port", "0",
               "--cors-origin", "*", env={"HEDDLE_CORS_ALLOW_CREDENTIALS": "1",
                                          "JWT_SECRET": "x" * 40})
    assert done.returncode == 78, done
    assert "credentials" in done.stderr
