"""Two linear layers with a ReLU between, for K assets at once: from features to a field's outputs.

Between the layers stand 32 numbers for each point, more than all the rest of a step writes. On a CPU
they are made tile by tile, used while they are in the cache, and made again on the way back; nothing
is kept but the features. A GPU takes all points at once, in parts (`layers_in_parts`). `layers` is
the plain form of both.

Outputs come before points: products with a side of only 4 columns are five times slower (docs/LOG.md).

Dimension key:  K slots · M points · C features · H hidden · O outputs
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.nerf.tiles import POINTS_PER_TILE, tiles

PARTS = 64
"""Parts of the points of a slot on a GPU; with eight slots there are a few products for each of its processors."""


def heads(
    features: Float[Tensor, "K M C"],
    hidden_weight: Float[Tensor, "K C H"],
    hidden_bias: Float[Tensor, "K 1 H"],
    output_weight: Float[Tensor, "K H O"],
    output_bias: Float[Tensor, "K 1 O"],
) -> Float[Tensor, "K O M"]:
    """relu(features W + b) W' + b' for every point, as `layers`, and with its gradients."""
    if features.device.type != "cpu":
        return layers_in_parts(features, hidden_weight, hidden_bias, output_weight, output_bias)
    outputs: Tensor = _TiledLayers.apply(  # type: ignore[no-untyped-call]
        features, hidden_weight, hidden_bias, output_weight, output_bias
    )
    return outputs


def layers(
    features: Float[Tensor, "K M C"],
    hidden_weight: Float[Tensor, "K C H"],
    hidden_bias: Float[Tensor, "K 1 H"],
    output_weight: Float[Tensor, "K H O"],
    output_bias: Float[Tensor, "K 1 O"],
) -> Float[Tensor, "K O M"]:
    """The same, written down as it is defined."""
    hidden = torch.relu(torch.baddbmm(hidden_bias, features, hidden_weight))
    return torch.baddbmm(output_bias.mT, output_weight.mT, hidden.mT)


def layers_in_parts(
    features: Float[Tensor, "K M C"],
    hidden_weight: Float[Tensor, "K C H"],
    hidden_bias: Float[Tensor, "K 1 H"],
    output_weight: Float[Tensor, "K H O"],
    output_bias: Float[Tensor, "K 1 O"],
) -> Float[Tensor, "K O M"]:
    """The same for up to PARTS parts of the points, each with weights of its own until their gradients are added.

    The gradient of a weight is a sum over all points. As one product it is one small block of numbers for each slot,
    and most processors of a GPU have nothing to do.
    """
    slots, num_points, num_features = features.shape
    parts = math.gcd(num_points, PARTS)
    weights = (hidden_weight, hidden_bias, output_weight, output_bias)
    outputs = layers(
        features.reshape(slots * parts, num_points // parts, num_features),
        *(weight.repeat_interleave(parts, dim=0) for weight in weights),
    )
    together: Tensor = outputs.unflatten(0, (slots, parts)).transpose(1, 2).flatten(2)
    return together


class _TiledLayers(torch.autograd.Function):
    """`layers` slot by slot and tile by tile, so a slot has the same bits whatever K is."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Float[Tensor, "K O M"]:
        ctx.save_for_backward(*inputs)
        features, hidden_weight, hidden_bias, output_weight, output_bias = inputs
        outputs = features.new_empty(len(features), output_weight.shape[2], features.shape[1])
        scratch = features.new_empty(POINTS_PER_TILE, hidden_weight.shape[2])
        for slot in range(len(features)):
            for part in tiles(features.shape[1], features.device):
                tile = features[slot, part]
                hidden = torch.addmm(hidden_bias[slot], tile, hidden_weight[slot], out=scratch[: len(tile)]).relu_()
                outputs[slot, :, part] = torch.addmm(output_bias[slot].T, output_weight[slot].T, hidden.T)
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Float[Tensor, "K O M"]) -> tuple[Tensor, ...]:
        (gradient,) = gradients
        features, hidden_weight, hidden_bias, output_weight, _ = ctx.saved_tensors
        of_features = torch.empty_like(features)
        of_hidden_weight, of_hidden_bias, of_output_weight = (
            torch.zeros_like(tensor) for tensor in (hidden_weight, hidden_bias, output_weight)
        )

        # hidden values are computed again instead of kept: they are most of what a step would write
        scratch = features.new_empty(2, POINTS_PER_TILE, hidden_weight.shape[2])
        for slot in range(len(features)):
            to_features, to_hidden = hidden_weight[slot].T.contiguous(), output_weight[slot].T.contiguous()
            for part in tiles(features.shape[1], features.device):
                tile, of_outputs = features[slot, part], gradient[slot, :, part].contiguous()
                hidden, of_hidden = scratch[:, : len(tile)]
                torch.addmm(hidden_bias[slot], tile, hidden_weight[slot], out=hidden).relu_()
                torch.mm(of_outputs.T, to_hidden, out=of_hidden)
                torch.ops.aten.threshold_backward.grad_input(of_hidden, hidden, 0.0, grad_input=of_hidden)

                torch.mm(of_hidden, to_features, out=of_features[slot, part])
                of_hidden_weight[slot].addmm_(tile.T, of_hidden)
                of_hidden_bias[slot] += of_hidden.sum(dim=0)
                of_output_weight[slot] += (of_outputs @ hidden).T

        return of_features, of_hidden_weight, of_hidden_bias, of_output_weight, gradient.sum(dim=2)[:, None]
