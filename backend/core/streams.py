"""Streams without an end, which an ASGI server sends."""

import asyncio

# Set when the server begins to stop: such a stream ends itself then. Not in liveness.py, which
# health checks run often: asyncio is most of what they would import.
stopping = asyncio.Event()
