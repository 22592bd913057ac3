"""Policies as files that other programs load: `jax.export`, and ONNX where that is installed."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp

from mpq_jax.base.files import write_atomically
from mpq_jax.evaluation.distillation.interface import as_text, interface_of
from mpq_jax.evaluation.distillation.onnx_file import onnx_of, onnx_version
from mpq_jax.evaluation.loading import load_run
from mpq_jax.planning.agent import QParams
from mpq_jax.planning.policy_agent import PolicyAgent

PLATFORMS = 'cpu', 'cuda'  # of one file
INSTALL = "ONNX files need the extra `export`: pip install 'mpq_jax[export]'"


def export_policies(run_dir: Path, say: Callable[[str], None]) -> tuple[list[str], dict[str, Any]]:
    """Writes the last policy of every seed of a distilled run into its directory.

    Returns:
      The names of the files, `policy_seed100.jax` and `policy_seed100.onnx` (with `_variant1` where
      the run has variants), and what goes in and comes out.
    """
    programs, saved, _ = load_run(run_dir, None)
    if onnx_version() is None:
        say(INSTALL)
    agent, params = programs.agent, programs.parameters(saved.state, 'last')
    assert isinstance(agent, PolicyAgent)
    interface: dict[str, Any] = {}
    files: list[str] = []
    for row, (variant, seed) in enumerate(programs.batch.members):
        own = jax.tree.map(lambda x, row=row: x[row], params)
        of_variant = f'_variant{variant}' if programs.batch.variants else ''
        path = run_dir / f'policy_seed{seed}{of_variant}'
        size, actions = own.policy.mean.shape[0], agent.simulator.action_size
        interface = interface_of(agent.simulator.task, programs.config, size, actions)
        files += export_policy(path, agent, own, interface | {'seed': seed})
    return files, interface


def export_policy(
    path: Path, agent: PolicyAgent, params: QParams, interface: dict[str, Any]
) -> list[str]:
    """Writes `path`.jax, and `path`.onnx where `onnx` is installed; their names."""
    size = len(interface['observation'])
    written = {path.with_name(path.name + '.jax'): jax_export_of(agent, params, size)}
    if onnx_version() is not None:
        written[path.with_name(path.name + '.onnx')] = onnx_of(params.policy, as_text(interface))
    for file, content in written.items():
        write_atomically(file, content)
    return [file.name for file in written]


def jax_export_of(agent: PolicyAgent, params: QParams, observation_size: int) -> bytes:
    """Observations `[b, no]` -> actions `[b, nu]`, for any b, as `jax.export` serialises it.

    `jax.export.deserialize(bytearray(content)).call(observations)` gives them.
    """

    def actions(observations: jax.Array) -> jax.Array:
        respond = functools.partial(agent.respond, params, key=jax.random.key(0))
        return jax.vmap(respond)(observations)

    shape = jax.export.symbolic_shape(f'b, {observation_size}')
    with jax.default_matmul_precision('float32'):  # no TF32 on GPUs
        exported = jax.export.export(jax.jit(actions), platforms=PLATFORMS)(
            jax.ShapeDtypeStruct(shape, jnp.float32)
        )
    return bytes(exported.serialize())
