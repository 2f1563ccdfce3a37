"""Who may call what: tokens of every algorithm, key sets, API keys, roles, and what is forged."""

import base64
import http.server
import json
import threading
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from heddle import JWT_SECRET, b64, bearer, eventually, expect, token
from sources import OPEN, SHIM, whoami

SERVICE_KEY = "sb_secret_only_for_these_tests"
PUBLIC_KEY = "sb_publishable_only_for_these_tests"


def number(n):
    return b64(n.to_bytes((n.bit_length() + 7) // 8, "big"))


def rsa_key(kid):
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_numbers()
    return key, {"kty": "RSA", "kid": kid, "n": number(public.n), "e": number(public.e)}


def ec_key(kid):
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_numbers()
    return key, {"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(point.x.to_bytes(32, "big")),
                 "y": b64(point.y.to_bytes(32, "big"))}


def ed_key(kid):
    key = ed25519.Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return key, {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(raw)}


RSA, RSA_JWK = rsa_key("rsa")
EC, EC_JWK = ec_key("ec")
ED, ED_JWK = ed_key("ed")
KEYS = {"RS256": (RSA, "rsa"), "ES256": (EC, "ec"), "EdDSA": (ED, "ed"),
        "HS256": (JWT_SECRET, None), "HS384": (JWT_SECRET, None), "HS512": (JWT_SECRET, None)}
JWKS = json.dumps({"keys": [RSA_JWK, EC_JWK, ED_JWK]})


def claims(**more):
    now = int(time.time())
    made = {"sub": "user-1", "role": "authenticated", "iat": now, "exp": now + 600, **more}
    return {key: value for key, value in made.items() if value is not None}


def signed(alg, key=None, kid=None, **more):
    default, default_kid = KEYS[alg]
    kid = kid or default_kid
    return bearer(jwt.encode(claims(**more), key or default, algorithm=alg,
                             headers={"kid": kid} if kid else None))


FUNCTIONS = {
    "_shared/handler.ts": SHIM,
    "guarded/index.ts": whoami(),
    "declared/index.ts": whoami("{ public: true }"),
    "declared-not/index.ts": whoami("{ public: false }"),
    "manifest-open/index.ts": whoami(),
    "manifest-open/heddle.json": OPEN,
    "manifest-shut/index.ts": whoami("{ public: true }"),
    "manifest-shut/heddle.json": '{ "verify_jwt": true }\n',
    "admins/index.ts": whoami(),
    "admins/heddle.json": '{ "require": ["admin", "service_role"] }\n',
    "declared-admins/index.ts": whoami('{ require: ["admin"] }'),
    "cold-admins/index.ts": whoami('{ require: ["admin"] }'),
    "echo/index.ts": "Deno.serve((req) => Response.json([...req.headers]));\n",
    "echo/heddle.json": OPEN,
}


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    from heddle import Node
    cwd = tmp_path_factory.mktemp("auth")
    node = Node(cwd, write(cwd / "functions", FUNCTIONS), "--lazy",
                env={"HEDDLE_JWKS": JWKS, "HEDDLE_SERVICE_KEYS": SERVICE_KEY,
                     "HEDDLE_API_KEYS": PUBLIC_KEY})
    try:
        yield node.start()
        node.stop()
    finally:
        node.kill()


def refused(answer, error="invalid_token"):
    expect(answer, 401, {"error": "Unauthorized"})
    challenge = answer.get("www-authenticate")
    assert challenge == (f'Bearer error="{error}"' if error else "Bearer"), answer


# --- first, while these are cold: what the code declares is only known when it is loaded ---

def test_a_cold_function_whose_code_says_public_answers_without_a_token(node):
    answer = node.get("declared")
    assert (answer.status, answer.json()) == (200, None), answer


def test_a_cold_function_whose_code_says_nothing_refuses_without_a_token(node):
    refused(node.get("declared-not"), error=None)
    assert node.get("declared-not", bearer()).status == 200


def test_a_cold_function_whose_code_requires_a_role_refuses_others(node):
    refused(node.get("declared-admins"), error=None)
    answer = node.get("declared-admins", bearer())
    expect(answer, 403, {"error": "Forbidden", "reason": "role"})
    assert node.get("declared-admins", bearer(role="admin")).json()["role"] == "admin"


def test_a_good_token_alone_does_not_open_a_cold_function_that_requires_a_role(node):
    expect(node.get("cold-admins", bearer()), 403, {"error": "Forbidden", "reason": "role"})


def test_the_manifest_beats_what_the_code_declares(node):
    refused(node.get("manifest-shut"), error=None)
    eventually(lambda: node.get("manifest-open").status == 200, what="the open one")


# --- tokens ---

@pytest.mark.parametrize("alg", KEYS)
def test_a_good_token_of_each_algorithm_is_taken(node, alg):
    answer = node.get("guarded", signed(alg))
    assert (answer.status, answer.json()) == (200, {"userId": "user-1", "role": "authenticated"})


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_a_token_signed_with_another_key_is_refused(node, alg):
    other = {"RS256": rsa_key, "ES256": ec_key, "EdDSA": ed_key}[alg]("other")[0]
    refused(node.get("guarded", signed(alg, key=other)))
    refused(node.get("guarded", signed(alg, key=other, kid="nobody-knows-it")))


def hmac_token(secret, **header):
    return bearer(token(secret, header={"alg": "HS256", "typ": "JWT", **header}))


def test_a_public_key_does_not_serve_as_a_secret(node):
    for key in (RSA, EC, ED):
        for encoding in ("PEM", "DER"):
            public = key.public_key().public_bytes(
                getattr(serialization.Encoding, encoding),
                serialization.PublicFormat.SubjectPublicKeyInfo).decode("latin-1")
            refused(node.get("guarded", hmac_token(public)))
    for jwk in (RSA_JWK, EC_JWK, ED_JWK):
        for text in (json.dumps(jwk), jwk.get("n", jwk.get("x"))):
            refused(node.get("guarded", hmac_token(text, kid=jwk["kid"])))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "HS1", "RS384x", None])
def test_an_algorithm_that_is_none_or_unknown_is_refused(node, alg):
    head = b64(json.dumps({"alg": alg, "typ": "JWT"}).encode())
    body = b64(json.dumps(claims()).encode())
    good = token().rsplit(".", 1)[1]
    for signature in ("", good):
        refused(node.get("guarded", bearer(f"{head}.{body}.{signature}")))


@pytest.mark.parametrize("wrong", [
    {"exp": 1}, {"exp": int(time.time()) - 60}, {"nbf": int(time.time()) + 3600}, {"exp": None},
    {"exp": "soon"}, {"nbf": "later"},
])
def test_a_token_outside_its_time_is_refused(node, wrong):
    refused(node.get("guarded", bearer(**wrong)))


def test_clocks_may_differ_by_the_leeway(node):
    now = int(time.time())
    assert node.get("guarded", bearer(exp=now - 5)).status == 200
    assert node.get("guarded", bearer(nbf=now + 5)).status == 200


def test_a_changed_payload_is_refused(node):
    head, _, signature = token().split(".")
    body = b64(json.dumps(claims(role="service_role")).encode())
    refused(node.get("guarded", bearer(f"{head}.{body}.{signature}")))


@pytest.mark.parametrize("text", ["a", "a.b", "a.b.c", "....", "a.b.c.d", "x" * 17000], ids=range(6))
def test_what_is_no_token_is_refused(node, text):
    refused(node.get("guarded", bearer(text)))


def test_issuer_and_audience_are_checked_when_configured(start_node, write_functions):
    node = start_node(write_functions({"_shared/handler.ts": SHIM, "guarded/index.ts": whoami()}),
                      "--jwt-issuer", "https://issuer.test", "--jwt-audience", "app,other")
    good = {"iss": "https://issuer.test", "aud": "app"}
    assert node.get("guarded", bearer(**good)).status == 200
    assert node.get("guarded", bearer(**{**good, "aud": ["x", "other"]})).status == 200
    for wrong in ({"iss": "https://evil.test"}, {"iss": None}, {"aud": "web"}, {"aud": None},
                  {"aud": []}, {"iss": "https://issuer.test/"}):
        refused(node.get("guarded", bearer(**{**good, **wrong})))


def test_only_the_named_algorithms_are_taken(start_node, write_functions):
    node = start_node(write_functions({"_shared/handler.ts": SHIM, "guarded/index.ts": whoami()}),
                      "--jwt-algorithms", "ES256", env={"HEDDLE_JWKS": JWKS})
    assert node.get("guarded", signed("ES256")).status == 200
    for alg in ("HS256", "RS256", "EdDSA"):
        refused(node.get("guarded", signed(alg)))


# --- what is forged ---

def test_forged_identity_fields_never_reach_a_function(node):
    identity = base64.b64encode(json.dumps({"userId": "root", "role": "service_role"}).encode())
    forged = {"x-heddle-auth": identity.decode(), "X-1tube-Auth-User-Id": "root",
              "X-1tube-Auth-Payload": identity.decode(), "X-Heddle-Id": "mine",
              "x-heddle-anything": "1", "x-kept": "yes"}
    seen = {name: value for name, value in node.get("echo", forged).json()}
    assert seen["x-kept"] == "yes"
    for name, value in forged.items():
        assert name == "x-kept" or seen.get(name.lower()) != value, seen
    answer = node.get("manifest-open", forged)
    assert (answer.status, answer.json()) == (200, None)
    refused(node.get("guarded", forged), error=None)
    answer = node.get("guarded", {**forged, **bearer()})
    assert answer.json() == {"userId": "user-1", "role": "authenticated"}


# --- API keys and roles ---

def test_the_service_key_is_the_service_role(node):
    answer = node.get("guarded", bearer(SERVICE_KEY))
    assert (answer.status, answer.json()) == (200, {"userId": "", "role": "service_role"})
    assert node.get("admins", bearer(SERVICE_KEY)).status == 200
    refused(node.get("guarded", bearer(SERVICE_KEY[:-1])))
    refused(node.get("guarded", bearer(SERVICE_KEY + "x")))


def test_the_apikey_field_counts_where_there_is_no_token(node):
    answer = node.get("guarded", {"apikey": PUBLIC_KEY})
    assert (answer.status, answer.json()) == (200, {"userId": "", "role": "anon"})
    refused(node.get("guarded", {"apikey": "sb_publishable_of_somebody_else"}))
    refused(node.get("guarded", {"apikey": PUBLIC_KEY, **bearer("nonsense")}))
    answer = node.get("guarded", {"apikey": PUBLIC_KEY, **bearer()})
    assert answer.json()["role"] == "authenticated"


def test_a_caller_without_the_role_is_forbidden(node):
    for headers in (bearer(), {"apikey": PUBLIC_KEY}, bearer(role=None)):
        answer = node.get("admins", headers)
        expect(answer, 403, {"error": "Forbidden", "reason": "role"})
        assert answer.get("www-authenticate") == 'Bearer error="insufficient_scope"'
    assert node.get("admins", bearer(role="admin")).status == 200
    refused(node.get("admins"), error=None)


def test_a_public_function_does_not_mind_a_bad_token_and_knows_a_good_one(node):
    assert node.get("manifest-open", bearer("nonsense")).json() is None
    assert node.get("manifest-open", bearer()).json()["userId"] == "user-1"


# --- key sets ---

def test_keys_come_from_a_file(start_node, write_functions, tmp_path):
    (tmp_path / "keys.json").write_text(JWKS)
    node = start_node(write_functions({"_shared/handler.ts": SHIM, "guarded/index.ts": whoami()}),
                      "--jwks-file", tmp_path / "keys.json", env={"JWT_SECRET": None})
    for alg in ("RS256", "ES256", "EdDSA"):
        assert node.get("guarded", signed(alg)).status == 200
    refused(node.get("guarded", signed("HS256")))


class KeyServer:
    """Publishes a key set on loopback; counts who asks."""

    def __init__(self, keys):
        self.keys, self.asked, self.broken = keys, 0, False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                body = json.dumps({"keys": outer.keys}).encode()
                self.send_response(500 if outer.broken else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_keys_by_url_are_fetched_again_for_a_key_that_is_new(start_node, write_functions):
    new, new_jwk = ec_key("second")
    functions = write_functions({"_shared/handler.ts": SHIM, "guarded/index.ts": whoami()})
    with KeyServer([EC_JWK]) as server:
        node = start_node(functions, "--jwks-url", server.url, env={"JWT_SECRET": None})
        eventually(lambda: node.get("guarded", signed("ES256")).status == 200, what="the keys")
        rotated = signed("ES256", key=new, kid="second")
        refused(node.get("guarded", rotated))
        server.keys = [new_jwk]
        eventually(lambda: node.get("guarded", rotated).status == 200, what="the new key")
        refused(node.get("guarded", signed("ES256", sub="later")))  # the first key is gone
        before = server.asked
        for n in range(50):  # unknown keys do not make us ask again and again
            refused(node.get("guarded", signed("ES256", key=EC, kid=f"made-up-{n}")))
        assert server.asked <= before + 1
        server.broken = True  # while the server fails, the keys stay
        assert node.get("guarded", signed("ES256", key=new, kid="second", sub="x")).status == 200
