"""When Python looks for garbage: objects that refer to each other. It reads all others for that."""

import atexit
import gc

_USUAL = gc.get_threshold()
# New objects between two looks; the whole application is half as many.
_SELDOM = 300_000


def look_seldom() -> None:
    """Let Python hardly look while this process loads, and not when it, or a fork of it, ends.

    Either finds nothing. The first is a quarter of the processor time of a start, the second takes
    half a second.
    """
    gc.set_threshold(_SELDOM)
    atexit.register(gc.freeze)


def look_at_what_is_new() -> None:
    """Let Python look as usual from now on, but not at what is loaded."""
    gc.freeze()
    gc.set_threshold(*_USUAL)
