"""python -m experiments.benchmark_sweep: as `mpq benchmark sweep`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('mpq_jax.commands.benchmark.sweep', run_name='__main__', alter_sys=True)
