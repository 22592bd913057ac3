"""Flags that the entry points share, and what surrounds every one of them."""

import datetime
import os
import sys
from collections.abc import Callable, Sequence

import jax
from absl import app, flags, logging

import mpq_jax
from mpq_jax.base.interrupts import exit_when_busy
from mpq_jax.base.machine import usable_cores
from mpq_jax.base.validation import ConfigError, check_at_least
from mpq_jax.config import Config
from mpq_jax.config.agents import AGENTS
from mpq_jax.config.fields import PLANNER, parse_overrides, with_planners
from mpq_jax.config.planners import planner_names
from mpq_jax.tasks import keep_tasks

flags.disclaim_key_flags()  # they are the flags of who defines them: --help shows them there

# flag -> config field
_SHORTHANDS = {
    'horizon': 'planner.horizon',
    'planner': 'planner.name',
    'planner_model': 'planner_model',
    'num_seeds': 'num_seeds',
    'episodes': 'episodes',
    'seed': 'seed',
    'planner_backend': 'planner_physics.backend',
    'q_data': 'q_data',
    'real_system': 'real_system',
    'from_run': 'from_run',
}


def define_run_flags(num_seeds: bool = True) -> None:
    """The flags that describe a run. None means: as the preset says."""
    flags.DEFINE_string(
        'task',
        None,
        'registered name, gymnasium:ID, playground:Name, or module:factory of your own',
    )
    flags.DEFINE_string('agent', None, f'{", ".join(AGENTS)} (none: no control)')
    flags.DEFINE_string('from_run', None, 'the trained run that the agent builds on')
    flags.DEFINE_string('preset', None, "'default', or one of the task's, such as 'paper'")
    define_planner_flag()
    flags.DEFINE_integer('horizon', None, 'H, actions in a plan')
    flags.DEFINE_string(
        'planner_model',
        None,
        "what the planner knows: 'biased' draws, the 'true' model; or fits: 'learned', 'residual'",
    )
    if num_seeds:
        flags.DEFINE_integer('num_seeds', None, 'seeds, run as one batch')
    flags.DEFINE_integer('episodes', None, 'training episodes a seed')
    flags.DEFINE_integer('seed', None, 'the first seed')
    flags.DEFINE_string('planner_backend', None, "the planner's physics: 'mjx', or 'mujoco'")
    flags.DEFINE_string('q_data', None, "what Q learns from: 'real', or 'dr': randomised models")
    flags.DEFINE_string(
        'real_system',
        None,
        "'simulated', or step by step: 'mujoco', 'gymnasium[:ID]', 'dm_control:domain-task', "
        "'playground[:Name]'",
    )
    flags.DEFINE_multi_string('set', [], 'any config field: --set planner.temperature=0.3')


def define_planner_flag() -> None:
    names = ', '.join(planner_names())
    flags.DEFINE_string('planner', None, f'{names}, or module:factory of your own')


def define_run_directory_flag() -> None:
    flags.DEFINE_string('run_dir', None, 'where the run is, or is to be')


def given_fields(values: flags.FlagValues, planners: Sequence[str] = ()) -> dict:
    """The config fields that flags were given for, by dotted name.

    Args:
      values: the flags.
      planners: besides the one that flags name, whose fields may be given.
    """
    single = {flag: field for flag, field in _SHORTHANDS.items() if flag in values}
    given = {field: values[flag].value for flag, field in single.items()}
    numbers = {k: v for k, v in given.items() if v is not None and not isinstance(v, list)}
    texts = values['set'].value or []
    named = [text.partition('=')[2].strip() for text in texts if text.startswith(f'{PLANNER}=')]
    named += [numbers[PLANNER]] if PLANNER in numbers else []
    return numbers | parse_overrides(texts, with_planners([*named, *planners]))


def config_from_flags(values: flags.FlagValues, **defaults) -> Config:
    """The preset of task and agent, then defaults by field, then the flags; validated."""
    config = mpq_jax.preset(
        values['task'].value or 'pendulum',
        values['agent'].value or 'mpq',
        values['preset'].value or 'default',
    )
    given = given_fields(values, [config.planner.name])
    return mpq_jax.set_fields(config, defaults | given).validate()


def whole_numbers(flag: str, values: flags.FlagValues, low: int) -> list[int]:
    """The numbers of a list flag. Raises ConfigError for anything else, or one below `low`."""
    try:
        numbers = [int(text) for text in values[flag].value or []]
    except ValueError:
        raise ConfigError(f'--{flag}', values[flag].value, 'whole numbers with commas') from None
    for number in numbers:
        check_at_least(f'--{flag}', number, low)
    return numbers


def default_run_dir(config: Config) -> str:
    """A name of its own for a run that was given none."""
    stamp = datetime.datetime.now().strftime('%Y%m%d-%H%M%S')
    task = config.task.replace(':', '_').replace('.', '_')
    return os.path.join('runs', f'{task}_{config.agent}_{stamp}')


def use_all_cores() -> None:
    """Makes each CPU core a device of its own, for batches to lie on (BUILD_NOTES.md).

    Unless the user said how many there shall be. Before JAX is first used.
    """
    said = 'xla_force_host_platform_device_count' in os.environ.get('XLA_FLAGS', '')
    if not said and 'JAX_NUM_CPU_DEVICES' not in os.environ:
        jax.config.update('jax_num_cpu_devices', usable_cores())


def keep_compiled_on_accelerators() -> None:
    """What an accelerator compiled serves later runs, in a folder of this user."""
    if jax.default_backend() != 'cpu' and 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
        cache = os.environ.get('XDG_CACHE_HOME', os.path.expanduser('~/.cache'))
        jax.config.update('jax_compilation_cache_dir', os.path.join(cache, 'mpq_jax'))


def run(
    main: Callable[[], None],
    cores_as_devices: bool = True,
    uses_accelerator: Callable[[], bool] = lambda: True,
) -> None:
    """Runs an entry point: precision set, user errors as one line, signals as a clean stop.

    Args:
      main: what it does.
      cores_as_devices: whether each CPU core is a device of its own.
      uses_accelerator: asked once the flags are read, whether this process needs one.

    Exit codes: 0, done; 2, an error of the user's, of the disk or of a real system; 3, a run that
    went to its end and in which a member learned nothing; 128 + n, stopped by signal n.
    """
    logging.set_verbosity(logging.WARNING)
    if cores_as_devices:
        use_all_cores()
    jax.config.update('jax_default_matmul_precision', 'float32')  # no TF32 on GPUs
    sys.path.insert(0, os.getcwd())  # module:factory of the user's own

    def guarded(arguments: list[str]) -> int:
        if len(arguments) > 1:
            print(f'error: {arguments[1]!r} is not a flag (--name=value)', file=sys.stderr)
            return 2
        if not uses_accelerator():
            jax.config.update('jax_platforms', 'cpu')
        keep_compiled_on_accelerators()
        try:
            with exit_when_busy(), keep_tasks():
                main()
        except mpq_jax.NothingLearnedError as error:
            print(f'error: {error}', file=sys.stderr)
            return 3
        except (mpq_jax.ConfigError, mpq_jax.TaskError, mpq_jax.RunError) as error:
            print(f'error: {error}', file=sys.stderr)
            return 2
        except OSError as error:  # a full disk, a directory that is gone
            print(f'error: {error}', file=sys.stderr)
            return 2
        except mpq_jax.Stopped as stop:
            print(stop, file=sys.stderr)
            return stop.exit_code
        except KeyboardInterrupt:
            print('stopped by SIGINT', file=sys.stderr)
            return 130
        return 0

    app.run(guarded)
