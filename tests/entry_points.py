"""Entry points as their users call them: in this process where that shows the same."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
from typing import NamedTuple

import jax
import pytest
from absl import app, flags

import mpq_jax
from mpq_jax.config import overrides
from tests.conftest import tiny_config

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Outcome(NamedTuple):
    """What a process says and how it ends."""

    returncode: int
    stdout: str
    stderr: str


def run(module, *arguments, package='experiments', folder=ROOT) -> Outcome:
    """`python -m experiments.module` without a process of its own, on one device."""
    app.define_help_flags()
    before, said, errors = set(flags.FLAGS), io.StringIO(), io.StringIO()
    precision = jax.config.jax_default_matmul_precision
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(errors),
    ):
        patch.setattr(sys, 'argv', [f'{package}/{module}.py', *map(str, arguments)])
        patch.setattr(sys, 'path', list(sys.path))
        patch.setenv('JAX_NUM_CPU_DEVICES', '1')  # as it is: JAX has begun
        patch.delenv('COLUMNS', raising=False)
        patch.chdir(folder)
        try:
            runpy.run_module(f'{package}.{module}', run_name='__main__', alter_sys=True)
        except SystemExit as ending:
            code = ending.code
        finally:  # for the next: they are the flags of one process
            flags.FLAGS.unparse_flags()
            flags.FLAGS.remove_flag_values(sorted(set(flags.FLAGS) - before))
            jax.config.update('jax_default_matmul_precision', precision)
    return Outcome(int(code or 0), said.getvalue(), errors.getvalue())


def run_process(module, *arguments):
    """`python -m experiments.module` as it is."""
    return subprocess.run(
        command(module, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def command(module, *arguments):
    return [sys.executable, '-m', f'experiments.{module}', *map(str, arguments)]


def tiny_flags(episodes=6):
    """The tiny config as flags."""
    changed = overrides.differences(tiny_config(episodes=episodes), mpq_jax.preset('pendulum'))
    return ['--task=pendulum'] + [f'--set={name}={value}' for name, (value, _) in changed.items()]
