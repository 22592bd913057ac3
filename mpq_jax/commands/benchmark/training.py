"""Where the time of training goes: mpq benchmark training --task=pendulum.

Times the parts of an episode and of a learning round, for one seed and for many, what they
cannot do without (rollouts, Q's and Adam's arithmetic by hand), and the share of a real run
that is none of them (Python, logging, checkpoints, transfer).
"""

import dataclasses
import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags
from rich.console import Console
from rich.table import Table

import mpq_jax
from mpq_jax.base.batching import map_in_chunks
from mpq_jax.base.compilation import compile
from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import Reporter, make_console, per_second
from mpq_jax.base.validation import ConfigError, check_at_least
from mpq_jax.benchmarks import floors
from mpq_jax.benchmarks.measure import take_turns
from mpq_jax.commands import command_line
from mpq_jax.config import Config
from mpq_jax.dynamics import rollout, with_emitters
from mpq_jax.learning import learner, replay_buffer
from mpq_jax.learning.algorithm import MemberState
from mpq_jax.learning.learner import Examples
from mpq_jax.planning import scoring
from mpq_jax.runs.metrics import MetricsWriter
from mpq_jax.runs.run_directory import manifest
from mpq_jax.training.assembly import make_programs
from mpq_jax.training.programs import Programs

FLAGS = flags.FLAGS
command_line.define_run_flags(num_seeds=False)
flags.DEFINE_list('num_seeds', ['1', '8'], 'batches of seeds to measure')
flags.DEFINE_integer('repeats', 20, 'timed repeats')
flags.DEFINE_integer('overhead_episodes', 20, 'episodes of the run whose overhead is measured')
flags.DEFINE_string('json', None, 'where to write the result')


def main() -> None:
    check_at_least('repeats', FLAGS.repeats, 1)
    check_at_least('overhead_episodes', FLAGS.overhead_episodes, 2)
    console = make_console()
    record: dict[str, Any] = {'manifest': manifest(), 'repeats': FLAGS.repeats, 'seeds': {}}
    for count in command_line.whole_numbers('num_seeds', FLAGS, 1):
        config = command_line.config_from_flags(FLAGS, num_seeds=count)
        if not config.learns_q:
            raise ConfigError('agent', config.agent, 'one that learns a Q for its planner')
        with Reporter(f'{count} seeds', FLAGS.repeats, 'repeats', console) as reporter:
            parts = _parts(config, reporter)
        measured = parts | {'overhead': _overhead(config)}
        record['seeds'][str(count)] = measured
        _print(count, measured, console)
        if FLAGS.json:  # after every batch: nothing measured is lost
            path = Path(FLAGS.json)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(record, indent=1) + '\n')


def _parts(config: Config, reporter: Reporter) -> dict[str, Any]:
    """Seconds and model steps/s of each part for the whole batch of seeds, and compile seconds."""
    programs = make_programs(config)
    programs.compiler.hooks.on_compile = reporter.compiling
    state = programs.initial_state()
    for episode in range(3):  # something to learn from
        state, summary = programs.collect(state, episode)
    programs.learn(jax.tree.map(jnp.copy, state), 3)
    a_round = programs.workload.per_round
    steps = {
        'acting': programs.workload.per_action * programs.real.task.episode_steps,
        'learning round': a_round,
        'target generation': a_round,
        'bare rollouts': a_round,
        'plans by hand': programs.workload.per_action * programs.real.task.episode_steps,
    }
    timings = take_turns(_calls(programs, state, summary), FLAGS.repeats, reporter.working)
    rows = [
        {
            'part': name,
            'median_s': timing.median,
            'p10_s': timing.percentile(10),
            'p90_s': timing.percentile(90),
            'model_steps_per_s': steps.get(name, 0) * config.num_seeds / timing.median,
        }
        for name, timing in timings.items()
    ]
    compiled = {p.name: p.compile_seconds for p in programs.compiler.compiled.values()}
    return {
        'parts': rows,
        'floor_shares': floors.shares(timings, config.learner.mode == 'fitted'),
        'compile_seconds': compiled,
    }


def _calls(programs: Programs, state: MemberState, summary) -> dict[str, Any]:
    """The parts, as calls without arguments."""
    agent, settings = programs.agent, programs.config.learner

    def targets(numbers, state, batch):
        return learner.make_targets(
            numbers.planner, numbers.learner, agent, state.models, state.learner.params, batch,
            state.key,
        )  # fmt: skip

    def updates(numbers, state, batch):
        known = Examples(batch.observation, batch.action, batch.cost)
        return learner.fit(numbers.learner, agent, state.learner, known, state.key)

    def bare(numbers, state, batch, actions):
        """The targets' model steps and nothing else: same chunks, same models."""
        particles = scoring.particle_models(numbers.planner, state.models)

        def one(item):
            start, actions = item

            def roll(model, actions):
                return rollout(agent.simulator, model, start, actions).state.qpos

            return jax.vmap(roll)(particles, actions)

        return map_in_chunks(one, (batch.next_state, actions), agent.execution.target_chunk)

    batch = _sampled(programs, state)
    planner, count = programs.config.planner, programs.config.num_seeds
    plan = planner.num_samples, planner.horizon - 1, agent.simulator.action_size
    noise = jax.random.normal(jax.random.key(0), (count, settings.num_states, *plan))
    actions = jnp.clip(2.0 * noise, -1.0, 1.0)
    common = programs.numbers, state, batch
    calls = _compiled(
        programs,
        ('target generation', targets, common),
        ('network updates', updates, common),
        ('bare rollouts', bare, (*common, actions)),
    )
    calls |= _floors(programs, state, batch, actions)
    # The run's own programs take over their state's buffers, so each call gets a copy.
    calls['acting'] = lambda: programs.collect(jax.tree.map(jnp.copy, state), 3)
    calls['learning round'] = lambda: programs.learn(jax.tree.map(jnp.copy, state), 3)
    calls['copying the state'] = lambda: jax.tree.map(jnp.copy, state)
    calls['transfer'] = lambda: jax.device_get(summary)
    calls['logging'] = _logging_call(programs.config)
    return calls


def _floors(programs: Programs, state: MemberState, batch, actions: jax.Array) -> dict[str, Any]:
    """What a round and an episode cannot do without, by hand, for the same batch of seeds."""
    agent, settings = programs.agent, programs.config.learner
    inputs = jnp.concatenate([batch.observation, batch.action], axis=-1)
    size, steps = settings.minibatch_size, programs.real.task.episode_steps
    count = settings.epochs * (settings.num_states // size)

    def values(weights, inputs):
        """Of the ends of a round's plans, in the round's chunks."""

        def one(start):
            ends = jnp.broadcast_to(start, (programs.config.planner.num_samples, len(start)))
            return floors.forward(weights, ends)[0]

        return map_in_chunks(one, inputs, agent.execution.target_chunk)

    def updates(weights, inputs, costs):
        return floors.adam_steps(weights, inputs, costs, settings.learning_rate, count)

    def acting(numbers, models, start, plans, weights, inputs):
        particles = scoring.particle_models(numbers.planner, models)
        ends = jnp.broadcast_to(inputs, (len(plans), len(inputs)))
        return floors.plans_in_turn(agent.simulator, particles, start, plans, weights, ends, steps)

    weights = floors.weights_of(state.learner.params)
    start = jax.tree.map(lambda leaf: leaf[:, 0], batch.next_state)
    arguments = programs.numbers, state.models, start, actions[:, 0], weights, inputs[:, 0]
    return _compiled(
        programs,
        ('Q by hand', values, (weights, inputs)),
        ('Adam by hand', updates, (weights, inputs[:, :size], batch.cost[:, :size])),
        ('plans by hand', acting, arguments),
    )


def _compiled(programs: Programs, *parts: tuple[str, Callable, tuple]) -> dict[str, Any]:
    """Parts of one seed as calls for all of them."""
    emitters, calls = with_emitters(programs.agent.simulator), {}
    for name, part, arguments in parts:
        programs.compiler.hooks.on_compile(name)
        program = compile(jax.vmap(part), *arguments, name=name, fusion_emitters=emitters)
        calls[name] = functools.partial(program, *arguments)
    return calls


def _sampled(programs: Programs, state: MemberState):
    count = programs.config.learner.num_states
    sample = jax.vmap(lambda buffer, key: replay_buffer.sample(buffer, key, count))
    return sample(state.buffer, state.key)


def _logging_call(config: Config):
    """One episode's rows into CSV and events of a scratch directory."""
    scratch = Path(tempfile.mkdtemp())
    writer = MetricsWriter(scratch / 'metrics.csv', scratch / 'events', 0)
    rows = [
        {'variant': 0, 'seed': s, 'episode': 0, 'return': -1.0, 'env_steps': 200, 'model_steps': 1}
        for s in config.seeds
    ]
    return lambda: writer.write(rows)


def _overhead(config: Config) -> dict[str, float]:
    """The share of a real run's loop that no program accounts for, compilation apart."""
    config = dataclasses.replace(config, episodes=FLAGS.overhead_episodes)
    with tempfile.TemporaryDirectory() as scratch:
        run = mpq_jax.train(config, Path(scratch) / 'run')
        record = json.loads(run.manifest_file.read_text())
    share = 1 - record['run_seconds'] / record['loop_seconds']
    return {'loop_s': record['loop_seconds'], 'run_s': record['run_seconds'], 'share': share}


def _print(count: int, measured: dict[str, Any], console: Console) -> None:
    table = Table(title=f'{count} seeds: median ms [p10, p90]')
    for heading in ('part', 'ms', 'model steps/s'):
        table.add_column(heading, justify='left' if heading == 'part' else 'right')
    for row in measured['parts']:
        rate = row['model_steps_per_s']
        table.add_row(
            row['part'],
            f'{1e3 * row["median_s"]:.2f} [{1e3 * row["p10_s"]:.2f}, {1e3 * row["p90_s"]:.2f}]',
            per_second(rate) if rate else '',
        )
    console.print(table)
    for part, share in measured['floor_shares'].items():
        console.print(f'{part}: {share:.2f} of its time is what it cannot do without')
    seconds = measured['compile_seconds']
    console.print(f'compile: {sum(seconds.values()):.1f} s in {len(seconds)} programs')
    console.print(
        f'host overhead of a run: {100 * measured["overhead"]["share"]:.1f} % of its loop'
    )


if __name__ == '__main__':
    command_line.run(main, cores_as_devices=False)
