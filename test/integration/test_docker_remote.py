"""An engine that is reached by TCP, plain and by TLS, and whose connections break."""

import os
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from docker_engine import active, build_image, create_zip, invoke, ours
from heddle import eventually

CODE = "import os\ndef handler(event, context): return os.getpid()\n"


class Proxy:
    """TCP in front of the engine's socket. cut() ends all connections and lets none in until open()."""

    def __init__(self, target, tls=None):
        self.target, self.tls = target, tls
        self.closed = False
        self.pairs = []
        self.lock = threading.Lock()
        self.requests = bytearray()  # the beginning of what was asked
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.host = f"tcp://127.0.0.1:{self.port}"
        self.shut = False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.closed:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            if self.tls is not None:
                client = self.tls.wrap_socket(client, server_side=True)
            if self.shut:
                client.close()
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self.target)
        except OSError:
            client.close()
            return
        with self.lock:
            self.pairs.append((client, engine))
        threading.Thread(target=self.pump, args=(client, engine, True), daemon=True).start()
        self.pump(engine, client, False)

    def pump(self, source, sink, up):
        try:
            while data := source.recv(65536):
                if up:
                    self.requests += data[:4096]
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.shut = True
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def open(self):
        self.shut = False

    def close(self):
        self.closed = True
        self.cut()
        self.listener.close()


@pytest.fixture
def proxy(engine):
    made = []

    def start(tls=None):
        made.append(Proxy(engine.socket, tls))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    """ca.pem, cert.pem and key.pem, as Docker's clients keep them; and the server's."""
    folder = tmp_path_factory.mktemp("certs")

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test CA",
            "-keyout", "ca-key.pem", "-out", "ca.pem")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout",
                f"{name}-key.pem", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem",
                "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{name}.pem")
    (folder / "client.pem").rename(folder / "cert.pem")
    (folder / "client-key.pem").rename(folder / "key.pem")
    return folder


def kill(engine, name):
    """End a function's only container behind the node's back. Returns its id."""
    [c] = ours(engine, name)
    os.kill(engine.inspect(c["Id"])["State"]["Pid"], signal.SIGKILL)
    return c["Id"]


def gone(engine, id):
    eventually(lambda: id not in [c["Id"] for c in ours(engine)], timeout=60,
               what="the container is removed")


def test_the_end_of_a_container_is_heard_and_its_list_read_when_the_stream_broke(
        proxy, docker_node, engine):
    p = proxy()
    n = docker_node("--lambda-backend", "docker", "--log-level", "debug", host=p.host)
    create_zip(n, "py", "python3.11", "f.handler", "f.py", CODE)
    assert active(n, "py")["State"] == "Active"
    assert invoke(n, "py", {}).status == 200
    gone(engine, kill(engine, "py"))
    assert invoke(n, "py", {}).status == 200
    # while nobody listens, one more ends
    p.cut()
    n.wait_record(lambda r: "events broke off" in r.get("msg", ""), what="the stream broke")
    id = kill(engine, "py")
    listed = p.requests.count(b"/containers/json?filters")
    p.open()
    gone(engine, id)
    assert p.requests.count(b"/containers/json?filters") > listed
    assert b"/wait" not in p.requests
    assert invoke(n, "py", {}).status == 200


def test_tls_both_ways(proxy, docker_node, engine, certs):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs / "server.pem", certs / "server-key.pem")
    context.load_verify_locations(certs / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    p = proxy(context)
    n = docker_node("--lambda-backend", "docker", host=p.host, env={"DOCKER_CERT_PATH": certs})
    create_zip(n, "py", "python3.11", "f.handler", "f.py", CODE)
    assert active(n, "py")["State"] == "Active"
    assert invoke(n, "py", {}).status == 200
    assert b"POST /v1." in p.requests
    assert build_image("-r", "python", "-t", "heddle-test/tls:1", "--docker-host", p.host,
                       "--docker-certs", certs).startswith("heddle-test/tls:1: ")
    engine.call("DELETE", "/images/heddle-test/tls:1")


def test_a_stranger_is_not_trusted(proxy, docker_node, certs, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                    "k.pem", "-out", "c.pem"], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    p = proxy(context)
    n = docker_node("--lambda-backend", "docker", "--docker-certs", certs, host=p.host)
    create_zip(n, "py", "python3.11", "f.handler", "f.py", CODE)
    active(n, "py")
    answer = invoke(n, "py", {})
    assert answer.status == 500 and "certificate" in answer.body.decode(), answer
    assert not p.requests
