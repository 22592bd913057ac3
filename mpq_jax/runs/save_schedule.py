"""When a run saves: after so many episodes, or by time."""

import time
from collections.abc import Callable

LONGEST_SECONDS = 60.0  # of work that a kill may cost, where an episode takes no longer
SHARE = 0.05  # of the time from one save to the next that saving may take


class SaveSchedule:
    """Asked after each piece of work: an episode, or a block of them.

    The clock decides when something is saved, never what is computed.
    """

    def __init__(self, interval: int, clock: Callable[[], float] = time.monotonic):
        """`interval` in episodes; 0: by time."""
        self._interval, self._clock = interval, clock
        self._saved = self._asked = clock()

    def due(self, episodes: int, save_seconds: float) -> bool:
        """Whether to save now. By time: as soon as saving is cheap, or waiting is dear.

        Args:
          episodes: done since the last save.
          save_seconds: that the last one took; 0 where there was none.
        """
        now = self._clock()
        piece, self._asked = now - self._asked, now
        if self._interval:
            return episodes >= self._interval
        waited = now - self._saved
        return save_seconds <= SHARE * waited or waited + piece > LONGEST_SECONDS

    def saving(self) -> None:
        """A save begins."""
        self._saved = self._clock()
