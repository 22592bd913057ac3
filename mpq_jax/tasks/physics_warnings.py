"""What MuJoCo warns of while it steps: counted and said once, in the place of its log file."""

import threading

import mujoco

# A state or acceleration beyond this is what MuJoCo calls huge (mjMAXVAL).
HUGE = 1e10

# After these what a simulation gives is not to be trusted.
_UNSTABLE = (
    mujoco.mjtWarning.mjWARN_BADQPOS,
    mujoco.mjtWarning.mjWARN_BADQVEL,
    mujoco.mjtWarning.mjWARN_BADQACC,
    mujoco.mjtWarning.mjWARN_BADCTRL,
    mujoco.mjtWarning.mjWARN_CONTACTFULL,
    mujoco.mjtWarning.mjWARN_CNSTRFULL,
)


class _Heard:
    """MuJoCo has one callback a process; it may be called from any thread that steps."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count, self._first = 0, ''

    def listen(self) -> None:
        """From here on warnings come here; nothing is printed or logged by MuJoCo itself.

        Again wherever something is about to step: dm_control takes the callback when imported.
        """
        mujoco.set_mju_user_warning(self._note)

    def take(self) -> tuple[int, str]:
        """How many since the last call, and the first of them."""
        with self._lock:
            taken = self._count, self._first
            self._count, self._first = 0, ''
        return taken

    def _note(self, text) -> None:
        said = text.decode() if isinstance(text, bytes) else str(text)
        if 'is deprecated' in said:  # of a file that is read: Python warns of that
            return
        with self._lock:
            self._count += 1
            self._first = self._first or said


heard = _Heard()


def is_unstable(data: mujoco.MjData) -> bool:
    """Whether MuJoCo warned of this simulation since it was reset."""
    return any(data.warning[int(kind)].number for kind in _UNSTABLE)
