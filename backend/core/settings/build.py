"""Settings of the image's build, which collects production's static files.

Nothing of it is ever served, so no variable is needed.
"""

from core.settings.base import *  # noqa: F403
