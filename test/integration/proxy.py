"""Something between a client and its server that can be cut: at once, or so that nobody notices."""

import contextlib
import socket
import threading


class Proxy:
    """Forwards TCP from a port of its own to another on loopback."""

    def __init__(self, target):
        self.target = target
        self.open = threading.Event()  # clear: bytes are taken from nobody, and nothing is closed
        self.open.set()
        self.taking = True  # False: who connects is turned away
        self.pairs = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                try:
                    if not self.taking:
                        raise OSError("cut")
                    server = socket.create_connection(("127.0.0.1", self.target), 10)
                    server.settimeout(None)
                except OSError:
                    client.close()
                    continue
                self.pairs.append((client, server))
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.open.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def stall(self):
        """Forward nothing more, and close nothing: what a cable does that is pulled."""
        self.open.clear()

    def cut(self):
        """Drop every connection, and take none."""
        self.taking = False
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self.pairs.clear()
        self.open.set()

    def mend(self):
        self.taking = True
        self.open.set()

    def close(self):
        self.cut()
        self.listener.close()
