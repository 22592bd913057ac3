"""python -m experiments.evaluate: as `mpq evaluate`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('mpq_jax.commands.evaluate', run_name='__main__', alter_sys=True)
