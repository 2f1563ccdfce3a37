"""The module `heddle` inside of functions; doc/lanes.md."""

from heddle_host.lanes import (LaneError, LaneTimeout, LaneTypedError, LaneUnavailable,  # noqa: F401
                               call, call_async, emit, emit_async)

__all__ = ["LaneError", "LaneTimeout", "LaneTypedError", "LaneUnavailable", "call", "call_async", "emit",
           "emit_async"]
