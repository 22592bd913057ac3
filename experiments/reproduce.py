"""python -m experiments.reproduce: as `mpq reproduce`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('mpq_jax.commands.reproduce', run_name='__main__', alter_sys=True)
