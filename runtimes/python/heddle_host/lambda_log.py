"""What a Lambda function logs: the root logger in AWS's text or JSON format, errors that nobody caught,
and print() as it is. Everything goes out as records with the id of the request."""

import json
import logging
import os
import time
from datetime import datetime, timezone

from . import log
from .lambda_find import frames

_TEXT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
_KNOWN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"aws_request_id", "taskName"}
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


def _now(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class _JsonFormatter(logging.Formatter):
    def format(self, record):
        line = {
            "timestamp": _now(record.created),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            kind, error, _ = record.exc_info
            line.update(stackTrace=frames(error), errorType=kind.__name__, errorMessage=str(error),
                        location=f"{record.pathname}:{record.funcName}:{record.lineno}")
        if record.aws_request_id:
            line["requestId"] = record.aws_request_id
        line.update((key, value) for key, value in record.__dict__.items()
                    if key not in _KNOWN and key not in line and key != "message")
        return _encode(line)


class _Handler(logging.Handler):
    def emit(self, entry):
        entry.aws_request_id = log.current()
        level = ("error" if entry.levelno >= logging.ERROR else
                 "warn" if entry.levelno >= logging.WARNING else
                 "info" if entry.levelno >= logging.INFO else "debug")
        try:
            log.record(level, self.format(entry), whole=True)
        except Exception:
            self.handleError(entry)


def _text_formatter():
    formatter = logging.Formatter(_TEXT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


# Made while nobody waits: a load only chooses.
_formatters = {True: _JsonFormatter(), False: _text_formatter()}
_handler = _Handler()


def capture():
    """Take over the root logger; the environment says how."""
    global _json
    _json = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
    _handler.setFormatter(_formatters[_json])
    root = logging.getLogger()
    root.handlers[:] = [_handler]
    wanted = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}.get(wanted, wanted)
    root.setLevel(logging.WARNING)
    if level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        root.setLevel(level)
    logging.captureWarnings(False)  # to stderr, as it is


_json = False


def fault(body):
    """Log an error that nobody caught: {errorType, errorMessage, stackTrace}."""
    if _json:
        line = {"timestamp": _now(time.time()), "level": "ERROR", **body}
        log.record("error", _encode(line), whole=True)
        return
    text = f"[ERROR] {body['errorType']}: {body['errorMessage']}"
    if body.get("stackTrace"):
        text += "\nTraceback (most recent call last):\n" + "".join(body["stackTrace"])
    log.record("error", text.rstrip("\n"), whole=True)
