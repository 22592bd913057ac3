"""Distils a run's planner into a policy: mpq distil --run_dir=... [--episodes=20].

A tanh network learns what the planner does, where the planner leads in the first episodes and
where the policy leads in all others (DAgger). The run is `distilled` in the directory of the
other; in it lie the policies as files for other programs, and what planner and policy came to on
the same starts. --resume goes on where it was stopped, or tests again.
"""

from typing import Any

from absl import flags
from rich.table import Table

import mpq_jax
from mpq_jax.base.progress import make_console
from mpq_jax.base.statistics import describe
from mpq_jax.commands import command_line
from mpq_jax.evaluation.distillation.comparing import in_words
from mpq_jax.runs.run_directory import RunDirectory

FLAGS = flags.FLAGS
command_line.define_run_directory_flag()
flags.DEFINE_string('task', None, "the run's module:factory, where its task is your own")
command_line.define_planner_flag()
flags.DEFINE_integer('episodes', None, 'of training: 20, if left out')
flags.DEFINE_integer('expert_episodes', None, 'of these, the first, in which the planner acts')
flags.DEFINE_string('parameters', None, "the planner's 'last' ones, or the 'best' by validation")
flags.DEFINE_integer('test_episodes', 20, 'a seed, of planner and policy')
flags.DEFINE_bool('resume', False, 'go on with what is there, or test it again')
flags.DEFINE_multi_string('set', [], 'any config field: --set distil.hidden_width=200')

_FIELDS = {
    'episodes': 'episodes',
    'expert_episodes': 'distil.expert_episodes',
    'parameters': 'distil.expert_parameters',
}


def main() -> None:
    if FLAGS.run_dir is None:
        raise mpq_jax.ConfigError('--run_dir', None, 'given: the run whose planner is distilled')
    if FLAGS.planner is not None:
        mpq_jax.load_planner(FLAGS.planner)
    console = make_console()
    fields = {name: FLAGS[flag].value for flag, name in _FIELDS.items()}
    given = {name: value for name, value in fields.items() if value is not None}
    planner = RunDirectory(FLAGS.run_dir).read_config(FLAGS.task).planner.name
    given |= command_line.given_fields(FLAGS, [planner])
    result = mpq_jax.distil(
        FLAGS.run_dir,
        given,
        resume=FLAGS.resume,
        test_episodes=FLAGS.test_episodes,
        task=FLAGS.task,
        console=console,
    )
    console.print(_table(result))
    console.print(in_words(result['seconds_of_an_action']), markup=False)
    console.print(
        f'{FLAGS.run_dir}/distilled: distilled.json, {", ".join(result["files"])}', markup=False
    )


def _table(result: dict[str, Any]) -> Table:
    """Planner and policy, their difference by seed, and no control."""
    table = Table(title=f'{result["task"]}: {len(result["seeds"])} seeds')
    names = list(result['planner'])
    for title in ('', *names):
        table.add_column(title, justify='right' if title else 'left')
    rows = {'planner': result['planner_is'], 'policy': 'policy', 'no_control': 'no control'}
    for part, label in rows.items():
        if part in result:
            table.add_row(label, *(_cell(result[part][name], name) for name in names))
    apart = result['policy_minus_planner']
    table.add_row('policy minus planner', *(_cell(apart[name], name) for name in names))
    return table


def _cell(figure: dict[str, Any], name: str) -> str:
    seeds = list(figure['per_seed'].values())
    mean, low, high = (figure[part] for part in ('mean', 'low', 'high'))
    return describe(mean, low, high, seeds, digits=0 if name == 'return' else 2)


if __name__ == '__main__':
    command_line.run(main)
