"""What can run the stack. `choice` imports them all, and only what runs one needs that."""

AUTO = "auto"
# In the order of `engines.choice.ENGINES`, for what only names them.
NAMES = ("compose", "embedded", "workspace")
