"""python -m experiments.benchmark_mppi: as `mpq benchmark mppi`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('mpq_jax.commands.benchmark.mppi', run_name='__main__', alter_sys=True)
