"""Task weights that the levels of a pyramid find together."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from tbd.checks import check_at_least_one
from tbd.precision import at_least_float32, without_autocast
from tbd.registry import MODELS

Nonlinearity = Literal["tanh", "relu"]
InitialState = Literal["zero", "learned"]

_QUANTITIES = 4
_TASKS = 2


@MODELS.register_module()
class RecurrentTaskWeightGenerator(nn.Module):
    """Balance of classification and localization on each level, seen with all other levels.

    The globally averaged maps of P3, P4, … are the steps of a sequence, the finest level first. A
    multi-layer Elman network reads it, h_t^(l) = act(W_ih^(l) h_t^(l−1) + b_ih^(l) +
    W_hh^(l) h_(t−1)^(l) + b_hh^(l)), h^(0) the sequence; a linear layer turns the last layer's
    outputs of all steps into two numbers per level, whose softmax are the weights.

    The alternative to :class:`~tbd.TaskWeightGenerator`, which sees one level at a time.

    Args:
        num_levels: Number of pyramid levels.
        hidden_channels: Width of the recurrent layers.
        num_layers: Number of recurrent layers.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        batch_first: How the network holds the sequence, [N, L, 4] or [L, N, 4]. The weights are the
            same.
        initial_state: h_0: ``"zero"``, or ``"learned"``, which starts at zero.
        bidirectional: Whether a second network reads from the coarsest level on.

    Raises:
        ValueError: if a number is not positive, or a name unknown.
    """

    def __init__(
        self,
        num_levels: int = 5,
        hidden_channels: int = 16,
        num_layers: int = 2,
        nonlinearity: Nonlinearity = "tanh",
        batch_first: bool = True,
        initial_state: InitialState = "zero",
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        check_at_least_one(
            **{
                "weight_generator.num_levels": num_levels,
                "weight_generator.hidden_channels": hidden_channels,
                "weight_generator.num_layers": num_layers,
            }
        )
        self.num_levels = num_levels
        self.rnn = nn.RNN(
            _QUANTITIES,
            hidden_channels,
            num_layers,
            nonlinearity=nonlinearity,
            batch_first=batch_first,
            bidirectional=bidirectional,
        )
        directions = 2 if bidirectional else 1
        self.initial_state: nn.Parameter | None = None
        if initial_state == "learned":
            self.initial_state = nn.Parameter(
                torch.zeros(num_layers * directions, 1, hidden_channels)
            )
        self.fc = nn.Linear(num_levels * directions * hidden_channels, num_levels * _TASKS)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Weigh the two tasks for each image and level.

        Args:
            maps: Per level, the teacher's classification and localization probability and the
                student's, reduced over anchors: [N, 4, H, W].

        Returns:
            Per level, weights [N, 2] of classification and localization; rows sum to 1.

        Raises:
            ValueError: if there are not ``num_levels`` levels.
        """
        if len(maps) != self.num_levels:
            raise ValueError(
                f"weight_generator: num_levels={self.num_levels}, but the pyramid has {len(maps)} "
                "levels; set num_levels of the tbd.RecurrentTaskWeightGenerator to that."
            )
        with without_autocast(maps[0].device):
            pooled = torch.stack([at_least_float32(level).mean(dim=(2, 3)) for level in maps], 1)
            outputs, _ = self.read(pooled)
            logits = self.fc(outputs.flatten(1)).unflatten(1, (self.num_levels, _TASKS))
            return list(logits.softmax(dim=2).unbind(dim=1))

    def weights(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Weights of all levels, as of every task weight generator; see :meth:`forward`."""
        return self(maps)

    def read(self, sequence: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the recurrent layers over a sequence.

        Args:
            sequence: [N, L, 4].
            state: h_0, [layers × directions, N, hidden_channels]; default: as ``initial_state``
                says.

        Returns:
            Outputs of the last layer, [N, L, directions × hidden_channels], and the last states of
            all layers, in the shape of ``state``.
        """
        if state is None and self.initial_state is not None:
            state = self.initial_state.expand(-1, len(sequence), -1).contiguous()
        if self.rnn.batch_first:
            return self.rnn(sequence, state)
        outputs, last = self.rnn(sequence.transpose(0, 1), state)
        return outputs.transpose(0, 1), last
