"""What can be wrong with a checkout, its machine or its stack: one file for each subject.

A file has `check(here)`, which looks at its subject and returns one `Result`: `./dev doctor` runs
them all. Where something can be mended without loss it has `fix(here, agrees)` as well, which
returns a line for each thing that it did; `agrees` is asked before anything is deleted.

What keeps the stack from starting is also looked at by `up`, which wants nothing but what is wrong
and its remedy: those files have `problems(...)`.
"""
