"""A run or a sweep as one self-contained page: read, rendered, written."""

from pathlib import Path

from mpq_jax.base.files import write_atomically
from mpq_jax.base.validation import RunError
from mpq_jax.report import page, runs, sweeps
from mpq_jax.report.content import Report


def read_directory(directory: str | Path) -> Report:
    """What a run or sweep directory holds.

    Raises:
      RunError: no such directory, neither a run nor a sweep, or settings that cannot be read.
    """
    path = Path(directory)
    if not path.is_dir():
        raise RunError(f'run_dir = {str(path)!r} is not a directory')
    if (path / 'sweep.json').is_file():
        return sweeps.read(path)
    if (path / 'config.json').is_file():
        return runs.read(path)
    raise RunError(
        f'run_dir = {str(path)!r} holds neither a run (config.json) nor a sweep (sweep.json)'
    )


def write_report(directory: str | Path, output: str | Path | None = None) -> Path:
    """Writes `report.html` into the directory, or the page to `output`; returns its path.

    Raises:
      RunError: as `read_directory`, or the page cannot be written.
    """
    target = Path(directory) / 'report.html' if output is None else Path(output)
    html = page.render(read_directory(directory))
    try:
        write_atomically(target, html)
    except OSError as error:
        raise RunError(f'{target} cannot be written: {error}') from error
    return target
