"""python -m experiments.sweep: as `mpq sweep`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('mpq_jax.commands.sweep', run_name='__main__', alter_sys=True)
