"""`./dev mcp`: the workspace's tools for assistants, over the Model Context Protocol.

Only `server` imports the protocol's library, which is installed when the command is first used.
https://modelcontextprotocol.io/specification
"""
