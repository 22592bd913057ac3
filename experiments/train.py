"""python -m experiments.train: as `mpq train`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('mpq_jax.commands.train', run_name='__main__', alter_sys=True)
