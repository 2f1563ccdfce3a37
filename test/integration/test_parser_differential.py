"""The same bytes to our parser, to http-parser and to Node's HTTP server: what they make of them is
the same, or the difference is explained here. A difference without a reason fails, and so does a
reason without a difference."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from heddle import binary
from parser_cases import cases

HERE = Path(__file__).parent
PARSERS = binary().parent / "test" / "integration" / "parsers"
DEADLINE_S = 120
PEERS = ("http-parser", "node")


class Reason(NamedTuple):
    """Why a peer may see it differently. The expressions are searched for in "<end> <error>" of our
    result and of the peer's, and in the bytes."""
    why: str
    ours: str
    theirs: str = ""
    raw: str = ""
    peers: tuple = PEERS
    older: bool = False  # seen with Node 18 and not with Node 20

    def explains(self, peer, raw, ours, theirs):
        return (peer in self.peers and re.search(self.ours, verdict(ours)) is not None
                and re.search(self.theirs, verdict(theirs)) is not None
                and re.search(self.raw, raw.decode("latin-1"), re.S | re.I) is not None)


ONLY_HTTP_PARSER = ("http-parser",)
ONLY_NODE = ("node",)

# What we refuse and a peer takes.
STRICTER = [
    Reason("RFC 9112 section 2.2 permits to take LF for CRLF and does not ask for it; parsers that"
           " disagree about it are how requests are smuggled", "bare LF"),
    Reason("RFC 9112 section 2.2: a CR without LF is invalid or must become a blank", "bare CR"),
    Reason("RFC 9112 section 2.2 asks to skip at least one empty line; it is one here",
           "0x0d where the method should begin"),
    Reason("RFC 9112 section 5.2: a server must refuse obs-fold, or replace it", "obs-fold"),
    Reason("RFC 9112 section 5.1: a blank before the colon must be refused with 400",
           "between field name and colon"),
    Reason("RFC 9112 section 5.1: a field name is a token, so not empty", "empty field name",
           older=True),
    Reason("RFC 9110 section 5.5: control bytes are invalid in values", "in a field value"),
    Reason("RFC 9112 section 3: one SP between the parts of the request line, not several",
           "one blank, not more|HTTP/<digit>", raw="^GET  ?/  ?HTTP"),
    Reason("HTTP/0.9 had no version; nothing speaks it", "version is missing"),
    Reason("other protocols of this shape (ICE, RTSP) are not HTTP", "HTTP/<digit>",
           raw="ICE/1.0|RTSP/1.0"),
    Reason("versions before 1.0 and after 1.1 are answered 505", "only HTTP/1.0 and HTTP/1.1"),
    Reason("RFC 9112 section 3.2: a target has no fragment", "no fragment"),
    Reason("RFC 3986: bytes that must be escaped, and that change a request's meaning when they are"
           " not", "in the target: it must be percent-encoded"),
    Reason("a gateway is no proxy: no CONNECT", "CONNECT: this is a gateway"),
    Reason("a gateway is no proxy: no absolute-form", "absolute-form target"),
    Reason("RFC 9112 section 3.2: only OPTIONS has the target \"*\"", "for OPTIONS only"),
    Reason("RFC 9112 section 3.2.1: origin-form begins with \"/\"", "target must begin with"),
    Reason("RFC 9112 section 3.2: no Host, several, or an invalid one is answered 400; to the peers"
           " it is the program's affair", "needs a Host|Host is there twice|Host must be"),
    Reason("RFC 9110 section 10.1.1: another expectation may be answered 417",
           "Expect must be"),
    Reason("RFC 9112 section 6.1: Transfer-Encoding in HTTP/1.0 is faulty framing",
           "Transfer-Encoding in HTTP/1.0"),
    Reason("RFC 9112 section 7: chunked must not be applied twice",
           "Transfer-Encoding is there twice"),
    Reason("RFC 9112 section 6.1: a coding that is not understood is answered 501; a peer that"
           " takes it for chunked or for no body is how requests are smuggled",
           "Transfer-Encoding must be"),
    Reason("a body is at most 2^63 - 1 bytes long", "Content-Length is too large"),
    Reason("so is a chunk, and its size has at most 16 digits, zeros included",
           "chunk size is too large"),
    Reason("RFC 9112 section 7.1: CRLF follows chunk data; some skip two bytes, whatever they are",
           "after chunk data"),
    Reason("RFC 9112 section 7.1.1: extensions are bounded, and have a grammar",
           "chunk size line.*(longer than the limit|does not belong)"),
    Reason("RFC 9112 section 7.1.2: a trailer section has the syntax of fields; the peers do not"
           " look at it closely", "trailer section"),
]

# What we take and a peer refuses, or reads otherwise.
MORE_TOLERANT = [
    Reason("RFC 9110 section 9.1: every token can be a method; the peers know a list",
           "^(done|more|close)", "HPE_INVALID_METHOD"),
    Reason("RFC 9110 section 2.5: a higher minor version is spoken as 1.1", "^done",
           "HPE_INVALID_VERSION", r"HTTP/1\.[2-9]", ONLY_NODE),
    Reason("RFC 9110 section 8.6: the same Content-Length several times may be taken as one",
           "^(done|close)", "HPE_(INVALID|UNEXPECTED)_CONTENT_LENGTH",
           r"\ncontent-length:([^\r]*,|.*\ncontent-length:)"),
    Reason("RFC 9112 section 7.1.1: blanks around \";\" and \"=\" must be understood",
           "^(done|more)", "HPE_INVALID_CHUNK_SIZE|HPE_STRICT",
           r"\n[0-9a-f]+([ \t]*;[^\r]*[ \t]|[ \t]+;)", ONLY_NODE),
    Reason("trailers are dropped here, so it does not matter that one looks like framing", "^done",
           "HPE_INVALID_(CONTENT_LENGTH|TRANSFER_ENCODING)",
           r"\n0\r\n(Content-Length|Transfer-Encoding):", ONLY_NODE),
    Reason("trailers are dropped here; http-parser hands them on as if they were fields", "^done",
           "^done", r"\n0\r\n[^\r]+:", ONLY_HTTP_PARSER),
    Reason("RFC 9110 section 7.8: Upgrade in HTTP/1.0 must be ignored", "^(done|close)",
           "^upgrade", r"HTTP/1\.0\r.*\nUpgrade:"),
    Reason("which of two Upgrade fields is meant is not guessed: both are ignored", "^done",
           "^upgrade", r"\nUpgrade:.*\nUpgrade:"),
    Reason("RFC 9112 section 9.3: \"close\" beats \"keep-alive\"", "^close", "^done",
           r"HTTP/1\.0\r.*(close.*keep-alive|keep-alive.*close)"),
    Reason("RFC 9110 section 5.6.1: a list may have empty elements", "^close", "^done", ",close,",
           ONLY_HTTP_PARSER),
    Reason("Proxy-Connection means nothing to a server; the peers take it for Connection", "^done",
           "^close", "Proxy-Connection: close"),
]
REASONS = STRICTER + MORE_TOLERANT


def verdict(result):
    return f"{result['end']} {result['error']}"


def seen(result):
    """What is compared of the messages: values without blanks at their ends."""
    return [(m["method"], m["target"],
             [(name, bytes.fromhex(value).strip(b" \t")) for name, value in m["fields"]], m["body"],
             m["complete"], m["keep_alive"] or result["end"] == "upgrade")
            for m in result["messages"] if m["complete"] or result["end"] == "more"]


def same(ours, theirs):
    if ours["end"] in ("close", "upgrade"):  # nobody reads on
        return seen(theirs)[:len(ours["messages"])] == seen(ours)
    return ours["end"] == theirs["end"] and seen(ours) == seen(theirs)


def run(command, text):
    done = subprocess.run([str(part) for part in command], input=text, text=True,
                          capture_output=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class Outcome(NamedTuple):
    case: str
    raw: bytes
    ours: dict
    peers: dict  # by name


@pytest.fixture(scope="module")
def outcomes():
    if not PARSERS.is_file():
        pytest.skip(f"there is no {PARSERS}: libhttp-parser-dev was missing when it was built")
    if shutil.which("node") is None:
        pytest.skip("node is not installed; `make deps` does that")
    fed = cases()
    text = "".join(raw.hex() + "\n" for raw in fed.values())
    two, node = run([PARSERS], text), run(["node", HERE / "parser_node.mjs"], text)
    assert len(two) == 2 * len(fed) and len(node) == len(fed)
    return [Outcome(case, raw, ours, {"http-parser": theirs, "node": nodes})
            for (case, raw), ours, theirs, nodes in zip(fed.items(), two[::2], two[1::2], node)]


class Difference(NamedTuple):
    peer: str
    case: str
    raw: bytes
    ours: dict
    theirs: dict

    def explained_by(self, reasons):
        return any(r.explains(self.peer, self.raw, self.ours, self.theirs) for r in reasons)


def differences(outcomes):
    return [Difference(peer, o.case, o.raw, o.ours, theirs)
            for o in outcomes for peer, theirs in o.peers.items() if not same(o.ours, theirs)]


def test_every_difference_has_a_reason(outcomes):
    unexplained = [f"{d.case}: {d.raw}\n  ours: {verdict(d.ours)} {d.ours['messages']}\n"
                   f"  {d.peer}: {verdict(d.theirs)} {d.theirs['messages']}"
                   for d in differences(outcomes) if not d.explained_by(REASONS)]
    assert not unexplained, "\n".join(unexplained)


def test_every_reason_has_a_difference(outcomes):
    found = differences(outcomes)
    idle = [r.why for r in REASONS if not r.older and not any(d.explained_by([r]) for d in found)]
    assert not idle, "\n".join(idle)


def test_nothing_that_a_peer_refuses_is_taken_without_a_reason_of_its_own(outcomes):
    taken = [f"{d.peer}: {d.case}: {verdict(d.theirs)}" for d in differences(outcomes)
             if d.ours["end"] != "error" and d.theirs["end"] == "error"
             and not d.explained_by(MORE_TOLERANT)]
    assert not taken, "\n".join(taken)


def test_most_cases_are_seen_alike_whether_good_or_bad(outcomes):
    for peer in PEERS:
        alike = [o.ours["end"] for o in outcomes if same(o.ours, o.peers[peer])]
        assert len(outcomes) > 2000 and len(alike) > 0.7 * len(outcomes)
        assert min(alike.count(end) for end in ("done", "error", "more", "close", "upgrade")) > 0
