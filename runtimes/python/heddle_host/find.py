"""Imports a user's module and finds what handles requests in it."""

import importlib.util
import inspect
import sys
import traceback
from pathlib import Path

NO_HANDLER = ("loaded without registering a handler: define handler(event, context), or a WSGI or ASGI "
              "callable named `application` or `app`, or name another one with \"handler\": "
              "\"index.name\" in heddle.json")


class LoadError(Exception):
    """Says what is wrong, where, and what to do."""

    def __init__(self, message, stack=""):
        super().__init__(message)
        self.stack = stack


def import_entry(entry, root):
    """The module of the entry file. Raises LoadError."""
    path = Path(entry)
    if path.suffix != ".py":
        raise LoadError(f"{entry}: the python runtime runs .py files")
    for folder in (root, str(path.parent)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, entry)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        at = f"{_short(error.filename, root)}:{error.lineno}:{error.offset}"
        raise LoadError(f"{at}: {type(error).__name__}: {error.msg}", traceback.format_exc()) from error
    except SystemExit as error:
        raise LoadError(f"the module ended the program (exit {error.code}) while it was loaded",
                        traceback.format_exc()) from error
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(root)]
        at = f"{_short(frames[-1].filename, root)}:{frames[-1].lineno}: " if frames else ""
        raise LoadError(f"{at}{type(error).__name__}: {error}", traceback.format_exc()) from error
    return module


def _short(filename, root):
    """A file of the functions folder as it is called there."""
    return filename.removeprefix(root + "/")


def _is_async(value):
    return inspect.iscoroutinefunction(value) or \
        inspect.iscoroutinefunction(getattr(value, "__call__", None))


def _parameters(value):
    try:
        return [p.name for p in inspect.signature(value).parameters.values()
                if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except (TypeError, ValueError):
        return []


def _kind(value, default):
    names = _parameters(value)
    if _is_async(value) and (len(names) == 3 or names[:1] == ["scope"]):
        return "asgi"
    if len(names) >= 2 and names[1] == "start_response":
        return "wsgi"
    return default


def find_handler(module, name):
    """(kind, callable): kind is "lambda", "wsgi" or "asgi". Raises LoadError."""
    if name:
        value = module
        for part in name.rsplit("/", 1)[-1].split(".")[1:] or [name]:
            value = getattr(value, part, None)
        if not callable(value):
            raise LoadError(f"handler: \"{name}\": {module.__file__} has no function of that name")
        return _kind(value, "lambda"), value
    handler = getattr(module, "handler", None)
    if callable(handler):
        return _kind(handler, "lambda"), handler
    for attribute in ("application", "app"):
        value = getattr(module, attribute, None)
        if callable(value):
            return _kind(value, "asgi" if _is_async(value) else "wsgi"), value
    raise LoadError(NO_HANDLER)


def local_imports(entry, root):
    """Absolute paths of the modules in the functions folder that were imported, but the entry."""
    found = set()
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and path.startswith(root + "/") and path != entry and "/site-packages/" not in path:
            found.add(path)
    return sorted(found)
