"""`mpq`: one word for every command; each is a module that runs by itself."""

import runpy
import sys

import mpq_jax
from mpq_jax.base.validation import nearest

# What is typed after `mpq` -> its module here with flags of its own, and what it is for.
COMMANDS = {
    'train': ('train', 'train an agent; without flags, the demonstration'),
    'evaluate': ('evaluate', 'test episodes of a trained run, on unseen starts'),
    'distil': ('policies.distil', "a run's planner as a policy: microseconds, files to take along"),
    'sweep': ('sweep', 'any field over many values and seeds'),
    'report': ('report', 'a run or a sweep as one page'),
    'tasks': ('tasks', 'what can be trained on'),
    'new-task': ('new_task', 'a file to start from, for a robot of your own'),
    'tune': ('tune', 'settings for a task that nobody tuned'),
    'check': ('check', 'a look at a task of your own before the first run'),
    'reproduce': ('reproduce', "the paper's figures and tables beside ours"),
    'benchmark': ('benchmark.mppi --suite', 'how fast this machine is: every task and backend'),
    'benchmark training': ('benchmark.training', 'episodes and learning rounds a second'),
    'benchmark mppi': ('benchmark.mppi', 'model steps a second, against others'),
    'benchmark sweep': ('benchmark.sweep', 'a batch of seeds against one alone, and devices'),
}


def main() -> None:
    """Runs the command that the arguments name, with the arguments after it."""
    arguments = sys.argv[1:]
    if arguments[:1] == ['--version']:
        print(mpq_jax.__version__)
        return
    for words in (2, 1):
        name = ' '.join(arguments[:words])
        if name in COMMANDS:
            module, *flags = COMMANDS[name][0].split()
            sys.argv = [sys.argv[0], *flags, *arguments[words:]]
            runpy.run_module(f'{__package__}.{module}', run_name='__main__', alter_sys=True)
            return
    asked = not arguments or arguments[0] in ('help', '--help', '-h')
    if not asked:
        hint = nearest(arguments[0], COMMANDS)
        print(f'error: mpq {arguments[0]!r} is not a command{hint}\n', file=sys.stderr)
    print(_usage(), file=sys.stdout if asked else sys.stderr)
    sys.exit(0 if asked else 2)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f'  mpq {name:{width}}  {what}' for name, (_, what) in COMMANDS.items()]
    return '\n'.join(['Commands (--help after each says what it takes):', *lines])


if __name__ == '__main__':
    main()
