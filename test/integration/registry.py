"""A registry of container images on loopback, as much of it as a pull asks for: one image, optionally
behind a password, as slow as a test wants it."""

import base64
import functools
import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USER, PASSWORD = "someone", "a secret: with colons"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


@functools.lru_cache(maxsize=2)
def compressed(data):
    return gzip.compress(data, 1)


class Registry:
    def __init__(self, layer_tar, architecture="amd64", locked=False, env=()):
        layer = compressed(layer_tar)
        config = json.dumps({
            "architecture": architecture, "os": "linux",
            "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", *env]},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer_tar)]},
            "history": [{"created_by": "test"}]}).encode()
        manifest = json.dumps({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json",
                       "size": len(config), "digest": digest(config)},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                        "size": len(layer), "digest": digest(layer)}]}).encode()
        self.manifest = manifest
        self.manifest_type = "application/vnd.docker.distribution.manifest.v2+json"
        self.blobs = {digest(config): config, digest(layer): layer}
        self.layer, self.config = digest(layer), digest(config)
        self.locked = locked
        self.gate = threading.Event()  # the layer's second half waits for it
        self.gate.set()
        self.fetched = []  # digests of blobs that were asked for
        self.halfway = threading.Event()
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request):
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.locked and request.headers.get("authorization") != wanted:
            self.send(request, 401, b'{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}',
                      "application/json", {"WWW-Authenticate": 'Basic realm="test"'})
            return
        parts = request.path.strip("/").split("/")
        if parts == ["v2"]:
            self.send(request, 200, b"{}", "application/json")
        elif parts[-2] == "manifests" and parts[1] == "none":
            self.send(request, 404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such"}]}',
                      "application/json")
        elif parts[-2] == "manifests":
            self.send(request, 200, self.manifest, self.manifest_type,
                      {"Docker-Content-Digest": digest(self.manifest)})
        elif parts[-2] == "blobs" and parts[-1] in self.blobs:
            self.fetched.append(parts[-1])
            self.send(request, 200, self.blobs[parts[-1]], "application/octet-stream",
                      slow=parts[-1] == self.layer)
        else:
            self.send(request, 404, b"{}", "application/json")

    def send(self, request, status, body, type, fields=None, slow=False):
        request.send_response(status)
        for name, value in {"Content-Type": type, "Content-Length": str(len(body)),
                            "Docker-Distribution-Api-Version": "registry/2.0",
                            **(fields or {})}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "HEAD":
            return
        half = len(body) // 2
        try:
            request.wfile.write(body[:half])
            if slow:
                request.wfile.flush()
                self.halfway.set()
                self.gate.wait(60)
            request.wfile.write(body[half:])
        except OSError:
            pass  # who asked went away

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


def padded(tar, size):
    """The archive with bytes in it that cannot be compressed, so that its transfer takes a while."""
    out = io.BytesIO(tar)
    with tarfile.open(fileobj=out, mode="a") as archive:
        info = tarfile.TarInfo("padding")
        info.size = size
        archive.addfile(info, io.BytesIO(os.urandom(size)))
    return out.getvalue()
