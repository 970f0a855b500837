"""The engines. `choice` imports all of them; code for one engine imports only that one."""

AUTO = "auto"
# The names in the order of `engines.choice.ENGINES`, for code that needs no engine.
NAMES = ("compose", "embedded", "devcontainer")
