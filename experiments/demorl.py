"""Off-policy learning fed by a planner: python -m experiments.demorl [--entries=...].

SAC, MBPO, MoPAC and DeMoRL, and MPQ on a learned and on a biased model, in Gymnasium's
environments. Settings were chosen on seeds 0 to 9 (BUILD_NOTES.md); seeds from 100 on are shown.
Each seed of an agent is a run below --run_dir, and goes on where it was stopped; demorl.json, .md
and the figure are written after each. --draw_only runs nothing. A demorl.json that is put into
--run_dir stands for the seeds that have no run there.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import flags

import mpq_jax
from experiments import demorl_page
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import check_choice
from mpq_jax.commands import command_line
from mpq_jax.config import Config
from mpq_jax.runs.run_directory import RunDirectory

FLAGS = flags.FLAGS

Fields = dict[str, Any]


class Entry(NamedTuple):
    """An environment."""

    environment: str  # Gymnasium's id
    steps: int  # of the environment, a seed
    thresholds: tuple[int, ...]  # returns
    fields: Fields  # of all agents
    of_agent: dict[str, Fields]
    published: str = ''  # the task's name in demorl_curves.csv


# Policies, Qs and what they learn from, the same for all four.
_POLICY = {'sac.hidden_width': 128, 'sac.updates_per_step': 5.0}
# Seven networks of which the best five are used; 1000 starts of 20 particles a generation.
_MODEL = {
    'dynamics.members': 7,
    'dynamics.elites': 5,
    'demorl.real_share_first': 0.5,
    'demorl.real_share_last': 0.5,
}
# 90 model steps a start (20 plans of four, and the policy's and the chosen actions' five), as
# rollouts of the policy alone.
_AS_MANY_MODEL_STEPS = {'demorl.starts': 18_000}
_LEARNED = {
    'agent': 'mpq',
    'planner_model': 'learned',
    'belief.redraw': 'run',
    'dynamics.particles': 0,  # one network a plan
    'planner.num_samples': 40,
}
_BIASED = {'agent': 'mpq', 'planner_model': 'biased'}
AGENTS: dict[str, Fields] = {
    'none': {'agent': 'none'},
    'sac': _POLICY | {'agent': 'sac'},
    'mbpo': _POLICY | _MODEL | {'agent': 'mbpo'},
    'mbpo_equal': _POLICY | _MODEL | _AS_MANY_MODEL_STEPS | {'agent': 'mbpo'},
    'mopac': _POLICY | _MODEL | {'agent': 'mopac'},
    'demorl': _POLICY | _MODEL | {'agent': 'demorl'},
    'mpq_learned': _MODEL | _LEARNED,
    'mpq_biased': _BIASED,
}

# In units that suit Q.
_SMALL_COSTS: Fields = {
    'task': 'experiments.environment_tasks:inverted_pendulum',
    'planner.temperature': 0.01,
}
# A look-ahead of 0.2 s, which a learned model does not bear.
_SHORT_PLANS: Fields = {
    'planner.horizon': 5,
    'planner.noise': 'white',
    'planner.noise_variance': 0.05,
}
ENTRIES = {
    'inverted_pendulum': Entry(
        'InvertedPendulum-v5', 5000, (100, 500, 950),
        # An episode of random actions takes some eight steps.
        {
            'task': 'experiments.policies_sac:inverted_pendulum',
            'dynamics.random_episodes': 10,
            'dynamics.batch_size': 256,
        },
        {'mpq_learned': _SMALL_COSTS, 'mpq_biased': _SMALL_COSTS | _SHORT_PLANS},
    ),
    'half_cheetah': Entry(
        'HalfCheetah-v5', 15_000, (500, 1000, 2000, 3000),
        # A model of one random episode misleads; generations follow the policy within an episode.
        {
            'task': 'gymnasium:HalfCheetah-v5',
            'dynamics.random_episodes': 3,
            'sac.random_steps': 3000.0,
            'sac.updates_per_step': 10.0,
            'demorl.generations': 4,
            'demorl.real_share_first': 0.2,
            'demorl.real_share_last': 0.2,
        },
        {
            'demorl': {'planner.noise_variance': 0.05, 'planner.elite_fraction': 0.25},
            'mopac': {'planner.noise_variance': 0.05},
            'mpq_learned': {'planner.discount': 0.97},
            'mpq_biased': {'planner.discount': 0.97},
        },
        'HalfCheetah',
    ),
    'hopper': Entry(
        'Hopper-v5', 5000, (100, 200, 400),
        # An episode of random actions takes some twenty steps. Nothing was searched.
        {
            'task': 'gymnasium:Hopper-v5',
            'dynamics.random_episodes': 25,
            'sac.random_steps': 500.0,
            'dynamics.batch_size': 256,
        },
        {agent: {'planner.noise_variance': 0.05} for agent in ('demorl', 'mopac')},
        'Hopper',
    ),
}  # fmt: skip


def config_of(entry: Entry, agent: str, seed: int) -> Config:
    """The run of a seed."""
    common = {
        'real_system': 'gymnasium',
        'seed': seed,
        'num_seeds': 1,
        'starts': 'reports' if seed >= 100 else 'tuning',
        'episodes': entry.steps,  # more than there can be
        'training.max_env_steps': entry.steps,
        'training.validation_episodes': 0,
        'learner.buffer_capacity': entry.steps + 1000,
    }
    fields = common | AGENTS[agent] | entry.fields | entry.of_agent.get(agent, {})
    task, kind = str(fields.pop('task')), str(fields.pop('agent'))
    return mpq_jax.set_fields(mpq_jax.preset(task, kind), fields)


def main() -> None:
    console, path = make_console(), Path(FLAGS.run_dir or 'runs/demorl')
    if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:  # seeds share their programs
        jax.config.update('jax_compilation_cache_dir', str(path / 'compiled'))
    for names, allowed, flag in (
        (FLAGS.entries, ENTRIES, '--entries'), (FLAGS.agents, AGENTS, '--agents'),
    ):  # fmt: skip
        for name in names:
            check_choice(flag, name, tuple(allowed))
    for seed in () if FLAGS.draw_only else map(int, FLAGS.seeds):
        for name in FLAGS.entries:
            for agent in FLAGS.agents:
                config = config_of(ENTRIES[name], agent, seed)
                run = RunDirectory(path / name / agent / str(seed))
                if not run.finished(config):
                    mpq_jax.train(config, run.path, resume=run.config_file.exists())
                demorl_page.write(path, ENTRIES, tuple(AGENTS))
    console.print(demorl_page.write(path, ENTRIES, tuple(AGENTS)), markup=False)


if __name__ == '__main__':
    command_line.define_run_directory_flag()
    flags.DEFINE_list('entries', list(ENTRIES), 'environments')
    flags.DEFINE_list('agents', list(AGENTS), 'what learns')
    flags.DEFINE_list('seeds', [str(seed) for seed in range(100, 105)], 'one after the other')
    flags.DEFINE_bool('draw_only', False, 'run nothing more')
    command_line.run(main)
