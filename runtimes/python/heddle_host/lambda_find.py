"""Finds the handler of a Lambda function: "pkg/mod.sub.func" is func in the module pkg.mod.sub."""

import importlib
import os
import sys
import traceback

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NOT_THEIRS = (_OURS, "<frozen importlib", importlib.__file__)


class Fault(Exception):
    """A mistake that the runtime itself finds; kind is like "Runtime.HandlerNotFound"."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.trace = list(trace)


def frames(error):
    """Where an exception came from, as lines, without the host's own frames."""
    return traceback.format_list(
        [frame for frame in traceback.extract_tb(error.__traceback__)
         if not frame.filename.startswith(_NOT_THEIRS)])


def search_path(root, opt):
    """What a function imports from, before the standard library: its code, layers, PYTHONPATH."""
    version = "python%d.%d" % sys.version_info[:2]
    given = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    return [root, os.path.join(opt, "python/lib", version, "site-packages"),
            os.path.join(opt, "python"), *given]


def locate(name, root, opt):
    """The handler. Raises Fault, or what the module itself raises."""
    module_name, dot, function = (name or "").rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName",
                    f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)")
    dotted = module_name.replace("/", ".")
    if dotted.split(".", 1)[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict",
                    f"Cannot use built-in module {module_name} as a handler module")
    for folder in reversed(search_path(root, opt)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        module = importlib.import_module(dotted)
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}",
                    frames(error)) from error
    except SyntaxError as error:
        place = f'  File "{error.filename}" Line {error.lineno}\n    {(error.text or "").strip()}\n'
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}",
                    [place]) from error
    except (TypeError, ValueError) as error:
        if dotted and not dotted.startswith("."):
            raise
        raise Fault("Runtime.ImportModuleError",
                    f"Unable to import module '{module_name}': {error}") from error
    handler = getattr(module, function, None)
    if handler is None:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{module_name}'")
    if not callable(handler):
        raise Fault("Runtime.HandlerNotFound",
                    f"Handler '{function}' on module '{module_name}' is not callable")
    return handler
