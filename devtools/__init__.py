"""The implementation of ./dev: the workspace's tools, standard library only (Python 3.9+)."""

# Of the workspace, https://semver.org. CHANGELOG.md has a section for each, and git a tag v0.1.0.
VERSION = "0.2.0"
