"""TensorBoard event files: scalars by episode, none of which stands twice after a resume."""

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

from mpq_jax.base.files import write_atomically

_LENGTH = struct.Struct('<Q')
_FRAME = 2 * 4  # bytes of checksums: of the length, and of the event


class EventsWriter:
    """One new file in a directory of them, written at once: no thread, no queue."""

    def __init__(self, directory: Path, first_episode: int):
        """Events from `first_episode` on, left by a run that was killed, are cut.

        Raises:
          OSError: the directory cannot be written.
        """
        directory.mkdir(parents=True, exist_ok=True)
        for file in directory.glob('*.tfevents.*'):
            if file.suffix == '.tmp':  # of a run that was killed as it cut
                file.unlink()
            else:
                _cut(file, first_episode)
        name = f'events.out.tfevents.{time.time_ns()}.{socket.gethostname()}'
        self._records = RecordWriter(str(directory / name))
        self._add(Event(wall_time=time.time(), file_version='brain.Event:2'))

    def add(self, scalars: dict[str, float], episode: int) -> None:
        """Writes the values of one episode by name. Raises OSError."""
        values = [Summary.Value(tag=tag, simple_value=x) for tag, x in scalars.items()]
        self._add(Event(wall_time=time.time(), step=episode, summary=Summary(value=values)))

    def close(self) -> None:
        self._records.close()

    def _add(self, event: Event) -> None:
        self._records.write(event.SerializeToString())
        self._records.flush()


def read_events(file: Path) -> list[Event]:
    """The whole events of a file; a torn one at its end is left out."""
    return [event for _, event in _events(file.read_bytes())]


def _cut(file: Path, first_episode: int) -> None:
    content = file.read_bytes()
    kept = [(frame, event) for frame, event in _events(content) if event.step < first_episode]
    whole = b''.join(frame for frame, _ in kept)
    if not any(event.HasField('summary') for _, event in kept):
        file.unlink()
    elif whole != content:
        write_atomically(file, whole)


def _events(content: bytes) -> Iterator[tuple[bytes, Event]]:
    """Each event with its bytes, framed as a TFRecord."""
    place = 0
    while place + _LENGTH.size <= len(content):
        (length,) = _LENGTH.unpack_from(content, place)
        start, end = place + _LENGTH.size + 4, place + _LENGTH.size + _FRAME + length
        if end > len(content):
            return
        try:
            yield content[place:end], Event.FromString(content[start : end - 4])
        except DecodeError:
            return
        place = end
