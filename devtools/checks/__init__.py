"""Checks of the checkout, the machine and the stack, one file for each subject.

Each file has `check(here)`, which returns one `Result`; `./dev doctor` runs all of them. If a
problem can be fixed without losing data, the file also has `fix(here, agrees)`, which returns one
line for each fix that it applied; it calls `agrees` before it deletes anything.

Files with `problems(...)` are also used by `up`, which needs only the problems that prevent a
start, with their remedies.
"""
