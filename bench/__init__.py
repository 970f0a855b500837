"""The measured budgets: how long it takes and how much it needs, on this machine.

Nothing else imports this folder. Without it, and without tests/bench and docs/performance.*, all
but `./dev bench` works as before.
"""
