"""python -m experiments.report: as `mpq report`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('mpq_jax.commands.report', run_name='__main__', alter_sys=True)
