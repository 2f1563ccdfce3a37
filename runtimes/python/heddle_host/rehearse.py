"""Has the code that a load and a first event take run once while nobody waits: their first run costs as
much as loading a small function. What it changes is put back, so that no function finds a trace of it."""

import gc
import json
import logging
import os
import sys
import time
from contextlib import contextmanager

from . import lambda_events, lambda_find, lambda_log, log

_STAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rehearsal")
_MODULE = "heddle_rehearsal"
_FIELDS = {"id": "rehearsal", "deadline": "1000", "arn": "arn:aws:lambda:x", "trace": "Root=1"}
_WHAT = {"name": _MODULE, "root": _STAGE, "handler": _MODULE + ".handler",
         "env": {"TZ": ":UTC", "LANG": "en_US.UTF-8"}, "lambda": {"name": _MODULE, "memoryMB": 128}}


@contextmanager
def _put_back():
    """What a load changes in this process is afterwards as it was."""
    environment, path, root = dict(os.environ), sys.path[:], logging.getLogger()
    handlers, level, listed = root.handlers[:], root.level, set(sys.path_importer_cache)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(True)
        sys.modules.pop(_MODULE, None)
        sys.path[:] = path
        for folder in set(sys.path_importer_cache) - listed:
            del sys.path_importer_cache[folder]  # it may be there later
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()


def rehearse(connection, set_environment):
    """Load a function and call it, as a load request and an event would have it done."""
    text = json.dumps(_WHAT).encode()
    head = (b"POST /.heddle/load HTTP/1.1\r\nHost: localhost\r\nx-heddle-token: %d\r\n"
            b"Content-Length: %d\r\n\r\n" % (0, len(text)))
    with _put_back():
        what = json.loads(connection.request(head + text)[3])
        set_environment(what["env"])
        lambda_log.capture()
        handler = lambda_find.locate(what["handler"], what["root"], _STAGE + "/opt")
        function = lambda_events.Function(what, handler)
        log.leave()
        for event in (b"{}", b'{"a": [1, "b"]}'):
            function.call(_FIELDS, event)
    gc.collect()  # now, while nobody waits: after the load there is little left to look at
    gc.freeze()
