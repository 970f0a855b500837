#!/usr/bin/env python
"""debugpy with an adapter that suits servers; arguments as for `python -m debugpy`.

debugpy starts its adapter, the process that editors talk to, with the Python it is told to use.
That is this file as well: it changes three things of the adapter.

- VS Code learns of a child process by the event that its Python extension handles, not by the
  request `startDebugging`. The sessions that the request starts are neither ended with those of
  their parents nor part of a compound:
  https://code.visualstudio.com/api/references/vscode-api#DebugSessionOptions
- A disconnect from one process disconnects from all. VS Code sends Stop to one session only, that
  of the first process or that of the paused one, and relies on the adapter for the others:
  https://github.com/microsoft/debugpy/issues/1320
- A breakpoint pauses the thread that reached it. The other threads go on serving requests.

In the debugged process it changes when threads are traced: not before an editor attaches. Tracing
makes each request slower by half, and breakpoints come from an editor.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from pathlib import Path
from typing import Any


def main() -> None:
    """Run the debugger, or its adapter if the first argument is the adapter's directory."""
    # Of `python FILE` it is the directory of FILE, of `python -m debugpy` this one.
    sys.path[0] = str(Path.cwd())
    import debugpy
    from debugpy import adapter

    if sys.argv[1:2] == [os.path.dirname(adapter.__file__)]:  # noqa: PTH120  # as debugpy spells it
        del sys.argv[1]
        run_adapter()
    else:
        from debugpy.server import cli

        debugpy.configure(python=__file__)
        wait_for_an_editor()
        cli.main()


def wait_for_an_editor() -> None:
    """Trace no thread of this process, or of its forks, until an editor attaches."""
    import pydevd
    import pydevd_tracing
    from _pydevd_bundle.pydevd_constants import PYDEVD_USE_SYS_MONITORING
    from _pydevd_bundle.pydevd_process_net_command_json import PyDevJsonCommandProcessor as Requests

    # Python 3.12 and newer can trace threads that run already. pydevd has a library for others, on
    # some systems.
    trace_all = getattr(threading, "settrace_all_threads", None)
    cannot = trace_all is None and pydevd_tracing._load_python_helper_lib() is None
    if cannot or PYDEVD_USE_SYS_MONITORING:  # which costs little
        return
    debugger, attached = pydevd.PyDB, threading.Event()
    enable, patch = debugger.enable_tracing, debugger.patch_threads
    attach = Requests._handle_launch_or_attach_request

    def enable_when_attached(self: Any, *arguments: Any, **options: Any) -> None:
        if attached.is_set():
            enable(self, *arguments, **options)

    def patch_when_attached(self: Any) -> None:
        patch(self)
        if not attached.is_set():
            threading.settrace(None)  # as after the start of Python

    def trace_and_attach(requests: Any, py_db: Any, request: Any, **options: Any) -> Any:
        # Without an editor, the adapter itself attaches to a fork for a moment, with this alone.
        if set(request.arguments.kwargs) == {"subProcessId"}:
            return attach(requests, py_db, request, **options)
        attached.set()
        if trace_all:
            trace_all(py_db.trace_dispatch)
        else:
            threading.settrace(py_db.trace_dispatch)
            pydevd_tracing.set_trace_to_threads(py_db.trace_dispatch)
        py_db.set_tracing_for_untraced_contexts()
        return attach(requests, py_db, request, **options)

    debugger.enable_tracing = enable_when_attached
    debugger.patch_threads = patch_when_attached
    Requests._handle_launch_or_attach_request = trace_and_attach


def run_adapter() -> None:
    """Run debugpy's adapter with some of its request handlers wrapped."""
    from debugpy.adapter.__main__ import main
    from debugpy.adapter.clients import Client

    initialize = Client.initialize_request
    attach, disconnect = Client.attach_request, Client.disconnect_request

    @functools.wraps(initialize)
    def initialize_with_events(client: Client, request: Any) -> Any:
        if request.arguments.get("clientID") == "vscode":
            request.arguments["supportsStartDebuggingRequest"] = False
        return initialize(client, request)

    @functools.wraps(attach)
    def attach_one_thread(client: Client, request: Any) -> Any:
        request.arguments.setdefault("stopAllThreadsOnSuspend", False)
        return attach(client, request)

    @functools.wraps(disconnect)
    def disconnect_all(client: Client, request: Any) -> Any:
        # Of a process that ended, as at a reload, the editor disconnects too.
        ended = client.session.is_finalizing
        try:
            return disconnect(client, request)
        finally:
            if not ended:
                end_sessions()

    Client.initialize_request = initialize_with_events  # type: ignore[method-assign]
    Client.attach_request = attach_one_thread  # type: ignore[method-assign]
    Client.disconnect_request = disconnect_all  # type: ignore[method-assign]
    main()


def end_sessions() -> None:
    """End the sessions of all processes; the processes go on."""
    from debugpy.adapter import servers

    for session in [found.server.session for found in servers.connections() if found.server]:
        with session:
            session.finalize("another session was disconnected", terminate_debuggee=False)


if __name__ == "__main__":
    main()
