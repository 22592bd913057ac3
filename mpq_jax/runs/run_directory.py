"""A run is a directory: what was asked, by what, what came out, and how to go on."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

from mpq_jax.base.files import write_atomically
from mpq_jax.base.trust import check_named, is_code
from mpq_jax.base.validation import ConfigError, RunError
from mpq_jax.config import Batch, Config, overrides
from mpq_jax.config.run_length import share_done

_PACKAGES = (
    'mpq_jax',
    'jax',
    'jaxlib',
    'mujoco',
    'mujoco-mjx',
    'flax',
    'optax',
    'numpy',
)


class RunDirectory:
    """Paths of a run, its config and its manifest."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config_file = self.path / 'config.json'
        self.manifest_file = self.path / 'manifest.json'
        self.metrics_file = self.path / 'metrics.csv'
        self.evaluation_file = self.path / 'evaluation.json'
        self.checkpoints = self.path / 'checkpoints'
        self.events = self.path / 'events'
        self.baselines = self.path / 'baselines'

    def create(self, runs: Config | Batch, **facts: Any) -> None:
        """Makes the directory for a new run, with further facts in its manifest.

        Raises:
          RunError: it holds something already, or cannot be written.
        """
        batch = Batch.of(runs)
        taken = self.path.exists() and not self.path.is_dir()
        if taken or (self.path.is_dir() and any(map(_is_content, self.path.iterdir()))):
            raise RunError(
                f'run_dir = {str(self.path)!r} exists already: continue it with '
                f'{self.how_to_resume(batch.config)}, or name another directory (nothing was '
                'overwritten)'
            )
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self.config_file, batch.to_json())
        self.describe(**facts)

    def describe(self, **facts: Any) -> None:
        """Writes the manifest, where there is none: a run may be killed before it has one."""
        with self._writing():
            if not self.manifest_file.exists():
                content = json.dumps(manifest() | facts, indent=2)
                write_atomically(self.manifest_file, content + '\n')

    def read_config(self, task: str | None = None) -> Config:
        """What the members of an existing run share; as `read_batch`."""
        return self.read_batch(task).config

    def read_batch(self, task: str | None = None) -> Batch:
        """Config and variants of an existing run.

        Args:
          task: the run's `module:factory`, where its task is not a registered one: the directory
            alone does not make anything import or call it. Not needed again in one process.

        Raises:
          RunError: no run there, a config that cannot be read, or a task that nobody named.
        """
        if not self.config_file.is_file():
            raise RunError(f'run_dir = {str(self.path)!r} holds no run: there is no config.json')
        try:
            content = json.loads(self.config_file.read_text())
            check_named(overrides.planner_name(content), self.config_file, kind='planner')
            batch = Batch.from_dict(content).validate()
        except (ValueError, ConfigError) as error:
            raise RunError(f'{self.config_file} cannot be used: {error}') from error
        check_named(batch.config.task, self.config_file, task)
        return self._moved(batch)

    def _moved(self, batch: Batch) -> Batch:
        """A run that lies in the one that it builds on finds it there, wherever both are now."""
        there, above = batch.config.from_run, RunDirectory(self.path.resolve().parent)
        if (
            not there
            or RunDirectory(there).config_file.is_file()
            or not above.config_file.is_file()
        ):
            return batch
        config = dataclasses.replace(batch.config, from_run=str(above.path))
        return dataclasses.replace(batch, config=config)

    def how_to_resume(self, config: Config) -> str:
        """The flags that continue the run; with systems of one's own, the call in Python."""
        if config.real_system == 'own':
            path = str(self.path)
            return f'mpq_jax.train(config, {path!r}, resume=True, real_systems=real_systems)'
        own = {'task': config.task, 'planner': config.planner.name}
        named = ''.join(f' --{k}={name}' for k, name in own.items() if is_code(name, k))
        return f'--run_dir={self.path} --resume{named}'

    @property
    def finished_episodes(self) -> int:
        """Episodes of the last training that ran to its end; 0 where none did."""
        return self.read_manifest().get('finished_episodes', 0)

    def finished(self, config: Config) -> bool:
        """Whether a training ran to what is the end by this config."""
        steps = self.read_manifest().get('finished_env_steps', 0)
        return share_done(config, self.finished_episodes, steps) >= 1.0

    @property
    def planner_backend(self) -> str:
        """Its planner's physics, by the record of its start; '' where it never came to one.

        Runs that were begun before it was recorded took MJX, or a task's equations, for 'auto'.
        """
        if not self.manifest_file.exists():
            return ''
        return self.read_manifest().get('planner_backend', 'jax')

    def read_manifest(self) -> dict[str, Any]:
        """What the manifest holds; nothing where it cannot be read."""
        try:
            content = json.loads(self.manifest_file.read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def record_resume(self, batch: Batch, episode: int) -> None:
        """Notes in the manifest that the run went on, with what and from where. Raises RunError."""
        record = self.read_manifest() or manifest()
        here = manifest() | {'episode': episode}
        record.setdefault('resumes', []).append(here)
        with self._writing():
            write_atomically(self.manifest_file, json.dumps(record, indent=2) + '\n')
            write_atomically(self.config_file, batch.to_json())

    def record(self, **values: Any) -> None:
        """Adds figures (compile seconds, for one) to the manifest. Raises RunError."""
        with self._writing():
            record = json.loads(self.manifest_file.read_text()) | values
            write_atomically(self.manifest_file, json.dumps(record, indent=2) + '\n')

    @contextlib.contextmanager
    def _writing(self):
        try:
            yield
        except OSError as error:
            raise RunError(f'run_dir = {str(self.path)!r} cannot be written: {error}') from error


def _is_content(path: Path) -> bool:
    """Whether it is more than what a run leaves that was killed as it began."""
    return not (path.name.startswith('config.json.') and path.suffix == '.tmp')


def manifest() -> dict[str, Any]:
    """What made these numbers: versions, device, precision, command line, git revision."""
    device = jax.devices()[0]
    return {
        'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'command': ' '.join([_command(), *sys.argv[1:]]),
        'git_revision': _git_revision(),
        'versions': {'python': platform.python_version()}
        | {name: _version(name) for name in _PACKAGES},
        'backend': jax.default_backend(),
        'device': device.device_kind,
        'device_count': jax.device_count(),
        'cpu_count': os.cpu_count(),
        'matmul_precision': getattr(jax.config, 'jax_default_matmul_precision', None) or 'default',
    }


def _command() -> str:
    """What was typed before the arguments."""
    spec = getattr(sys.modules.get('__main__'), '__spec__', None)
    if spec is None:
        return f'python {Path(sys.argv[0]).name}'
    package, _, name = spec.name.rpartition('.')
    if package == 'mpq_jax.commands':
        return f'mpq {name.replace("_", " ")}'
    return f'python -m {spec.name}'


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """The source's revision, '+changes' appended where the tree differs from it."""
    git = ['git', '-C', str(Path(__file__).parent)]
    try:
        revision = subprocess.run(
            [*git, 'rev-parse', 'HEAD'], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        status = subprocess.run(
            [*git, 'status', '--porcelain', '--untracked-files=no'],
            capture_output=True, text=True, check=True, timeout=10,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return revision + ('+changes' if status.strip() else '')
