"""One page of a run or a sweep: mpq report --run_dir=... [--output=...]."""

from absl import flags

import mpq_jax
from mpq_jax.base.progress import make_console
from mpq_jax.commands import command_line
from mpq_jax.report import write_report

FLAGS = flags.FLAGS
command_line.define_run_directory_flag()
flags.DEFINE_string('output', None, 'the page to write; without it, report.html in --run_dir')


def main() -> None:
    if FLAGS.run_dir is None:
        raise mpq_jax.ConfigError('--run_dir', None, 'given: the run or sweep to report on')
    path = write_report(FLAGS.run_dir, FLAGS.output)
    make_console().print(f'{path}: {path.stat().st_size / 1000:,.0f} kB', markup=False)


if __name__ == '__main__':
    command_line.run(main)
