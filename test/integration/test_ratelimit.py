"""The rate limit: whose bucket it is, and what an answer over it says."""

from heddle import bearer, expect
from sources import OPEN, manifest, says

ON = {"HEDDLE_DISABLE_RATE_LIMIT": None, "HEDDLE_DEFAULT_RPM": "2"}
FUNCTIONS = {
    "one/index.ts": says("1"), "one/heddle.json": OPEN,
    "two/index.ts": says("2"), "two/heddle.json": OPEN,
    "rich/index.ts": says("3"), "rich/heddle.json": manifest(rpm=60, burst=5),
    "guarded/index.ts": says("4"),
}


def statuses(node, name, count, headers=None):
    return [node.get(name, headers).status for _ in range(count)]


def forwarded(text):
    return {"x-forwarded-for": text}


def test_an_answer_over_the_limit_says_when_to_come_back(start_node, write_functions):
    node = start_node(write_functions(FUNCTIONS), env=ON)
    assert statuses(node, "one", 2) == [200, 200]
    answer = node.get("one")
    wait = int(answer.get("retry-after"))
    assert 1 <= wait <= 30
    expect(answer, 429, {"error": "Rate limit exceeded", "retryAfterSeconds": wait})
    assert answer.get("x-heddle-invocation-id")
    assert "r=0" in answer.get("ratelimit") and "q=2" in answer.get("ratelimit-policy")
    assert answer.get("x-ratelimit-limit") == "2"
    assert answer.get("x-ratelimit-remaining") == "0"


def test_each_function_and_each_user_has_a_bucket(start_node, write_functions):
    node = start_node(write_functions(FUNCTIONS), env=ON)
    assert statuses(node, "one", 3) == [200, 200, 429]
    assert statuses(node, "two", 3) == [200, 200, 429]
    assert statuses(node, "one", 3, bearer(sub="ada")) == [200, 200, 429]
    assert statuses(node, "one", 3, bearer(sub="bob")) == [200, 200, 429]
    assert statuses(node, "one", 1, bearer(sub="ada", jti="another token")) == [429]


def test_a_bad_token_is_no_user_and_a_401_costs(start_node, write_functions):
    node = start_node(write_functions(FUNCTIONS), env=ON)
    bad = [node.get("guarded", bearer(f"made.up.{n}")).status for n in range(4)]
    assert bad == [401, 401, 429, 429]


def test_what_costs_nothing(start_node, write_functions):
    node = start_node(write_functions(FUNCTIONS), env=ON)
    assert statuses(node, "no-such-function", 5) == [404] * 5
    for _ in range(5):
        assert node.request("OPTIONS", "one").status == 204
    assert statuses(node, "one", 3) == [200, 200, 429]


def test_a_manifest_sets_its_own_limit(start_node, write_functions):
    node = start_node(write_functions(FUNCTIONS), env=ON)
    assert statuses(node, "rich", 6) == [200] * 5 + [429]


def test_who_is_no_trusted_proxy_cannot_choose_an_address(start_node, write_functions):
    node = start_node(write_functions(FUNCTIONS), env=ON)
    got = []
    for n, headers in enumerate([forwarded("10.0.0.1"), {"x-real-ip": "10.0.0.2"},
                                 {"forwarded": "for=10.0.0.3"}, forwarded("10.0.0.4, 10.0.0.5")]):
        got.append(node.get("one", headers).status)
    assert got == [200, 200, 429, 429]


def test_behind_proxies_the_right_most_untrusted_address_counts(start_node, write_functions):
    node = start_node(write_functions(FUNCTIONS), "--trusted-proxies", "127.0.0.1,192.0.2.0/24",
                      env=ON)
    spoofed = [node.get("one", forwarded(f"198.51.100.{n}, 203.0.113.7, 192.0.2.9")).status
               for n in range(3)]
    assert spoofed == [200, 200, 429]  # what is left of the client's address is of its own making
    assert statuses(node, "one", 1, forwarded("203.0.113.8")) == [200]
    assert statuses(node, "one", 1, forwarded("203.0.113.7")) == [429]


def test_addresses_of_one_ipv6_network_share_a_bucket(start_node, write_functions):
    node = start_node(write_functions(FUNCTIONS), "--trusted-proxies", "127.0.0.1", env=ON)
    got = [node.get("one", forwarded(f"2001:db8:0:1::{n}")).status for n in range(1, 4)]
    assert got == [200, 200, 429]
    assert statuses(node, "one", 1, forwarded("2001:db8:0:2::1")) == [200]
