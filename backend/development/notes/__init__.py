"""The living example of an application: tests run it, and `./dev startapp NAME` copies it."""
