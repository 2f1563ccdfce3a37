"""Log records on stderr as doc/host-protocol.md says: what print(), sys.stderr and the logging module
write inside a request carries the request's id."""

import io
import json
import logging
import os
import sys
import threading
import time
import traceback
from contextvars import ContextVar

MESSAGE_MAX = 8192
LINE_MAX = 65536  # of text written without a line end
UTF8_MOST = 4  # bytes of one character

#: The invocation that is running, or "".
invocation = ContextVar("heddle_invocation", default="")

_lock = threading.Lock()
_start = b""
_current = ""  # where one request runs at a time: also for threads that it has started


def begin(token):
    """Set the token that proves to the node that a line is a record."""
    global _start
    _start = b"\x1e" + token.encode() + b" "


def current():
    """The id of the request that is running, or ""."""
    return invocation.get() or _current


def enter(id):
    """A request begins, and no other does before leave()."""
    global _current
    _current = id
    invocation.set(id)


def leave():
    """The request is over: write what has no line end yet."""
    for stream in _streams:
        for id in list(stream.partial):
            stream.finish(id)


def _pieces(text):
    """A long text in parts that the node takes whole."""
    step = MESSAGE_MAX if text.isascii() else MESSAGE_MAX // UTF8_MOST
    return [text[at:at + step] for at in range(0, len(text), step)]


def record(level, text, id=None, whole=False):
    """Write one record. level: debug, info, warn or error. whole: several, where it is too long."""
    if len(text) > MESSAGE_MAX // UTF8_MOST:
        if whole or _current:
            for piece in _pieces(text):
                _write(level, piece, id)
            return
        if len(text) > MESSAGE_MAX:
            text = text[:MESSAGE_MAX] + "…"
    _write(level, text, id)


def _write(level, text, id):
    body = json.dumps({"id": id or current() or None, "level": level, "msg": text,
                       "ts": time.time_ns() // 1_000_000})
    line = _start + body.encode("ascii") + b"\n"
    with _lock:
        try:
            while line:
                line = line[os.write(2, line):]
        except OSError:
            pass  # nobody reads any more: the node is gone, and we with it


class _Stream(io.TextIOBase):
    """Takes the place of sys.stdout or sys.stderr; each thread and task gathers its own lines."""

    def __init__(self, level, raw):
        self.level = level
        self.raw = raw
        self.partial = {}  # invocation id -> text without a line end yet

    encoding = "utf-8"
    errors = "backslashreplace"

    @property
    def buffer(self):
        return self.raw.buffer

    def fileno(self):
        return self.raw.fileno()

    def writable(self):
        return True

    def isatty(self):
        return False

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        id = invocation.get()
        lines = (self.partial.pop(id, "") + text).split("\n")
        rest = lines.pop()
        if len(rest) > LINE_MAX:
            lines, rest = lines + [rest], ""
        if rest:
            self.partial[id] = rest
        for line in lines:
            record(self.level, line, id)
        return len(text)

    def flush(self):
        """A line that is not ended yet stays: a record is a line."""

    def finish(self, id):
        """Write what the invocation left without a line end."""
        rest = self.partial.pop(id, None)
        if rest:
            record(self.level, rest, id)


class _Handler(logging.Handler):
    """What the logging module gives."""

    def emit(self, entry):
        level = ("error" if entry.levelno >= logging.ERROR else
                 "warn" if entry.levelno >= logging.WARNING else
                 "info" if entry.levelno >= logging.INFO else "debug")
        try:
            record(level, self.format(entry))
        except Exception:
            self.handleError(entry)


def thrown(error):
    """Record an exception with its trace."""
    record("error", "".join(traceback.format_exception(error)).rstrip("\n"))


_streams = []


def capture():
    """Take over sys.stdout, sys.stderr, the root logger and warnings."""
    sys.stdout = _Stream("info", sys.__stdout__)
    sys.stderr = _Stream("error", sys.__stderr__)
    _streams.extend((sys.stdout, sys.stderr))
    root = logging.getLogger()
    root.addHandler(_Handler())
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    threading.excepthook = lambda args: thrown(args.exc_value) if args.exc_value else None


def finish():
    """The current invocation is over: write what has no line end yet."""
    id = invocation.get()
    for stream in _streams:
        if stream.partial:
            stream.finish(id)
