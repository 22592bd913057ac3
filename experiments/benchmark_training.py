"""python -m experiments.benchmark_training: as `mpq benchmark training`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('mpq_jax.commands.benchmark.training', run_name='__main__', alter_sys=True)
