"""A tanh policy as an ONNX graph; `onnx` is an extra."""

import importlib.metadata
from typing import Any

import numpy as np

from mpq_jax.learning.policies.tanh_policy import PolicyParams, layers

_OPSET, _IR_VERSION = 17, 8  # of 2022: old runtimes read them too


def onnx_version() -> str | None:
    """Of the package that is installed; None where it is not."""
    try:
        return importlib.metadata.version('onnx')
    except importlib.metadata.PackageNotFoundError:
        return None


def onnx_of(policy: PolicyParams, texts: dict[str, str]) -> bytes:
    """'observation' `[batch, no]` -> 'action' `[batch, nu]`, with texts as the model's metadata."""
    from onnx import TensorProto, helper, numpy_helper

    weights = layers(policy)
    constants: dict[str, Any] = {'mean': policy.mean, 'scale': policy.scale}
    nodes = [
        helper.make_node('Sub', ['observation', 'mean'], ['centred']),
        helper.make_node('Div', ['centred', 'scale'], ['x0']),
    ]
    for i, (kernel, bias) in enumerate(weights):
        constants |= {f'kernel{i}': kernel, f'bias{i}': bias}
        after = 'action' if i == len(weights) - 1 else f'x{i + 1}'
        inputs = [f'x{i}', f'kernel{i}', f'bias{i}']
        nodes.append(helper.make_node('Gemm', inputs, [f'linear{i}']))
        nodes.append(helper.make_node('Tanh', [f'linear{i}'], [after]))

    def of_batch(name: str, size: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ['batch', size])

    graph = helper.make_graph(
        nodes,
        'policy',
        [of_batch('observation', len(weights[0][0]))],
        [of_batch('action', len(weights[-1][1]))],
        [numpy_helper.from_array(np.asarray(x, np.float32), k) for k, x in constants.items()],
    )
    opset = helper.make_opsetid('', _OPSET)
    model = helper.make_model(
        graph, producer_name='mpq_jax', ir_version=_IR_VERSION, opset_imports=[opset]
    )
    helper.set_model_props(model, texts)
    return model.SerializeToString()
