"""Task-collaborative weight generator."""

from collections.abc import Sequence

from torch import Tensor, nn

from tbd.checks import check_at_least_one
from tbd.registry import MODELS


@MODELS.register_module()
class TaskWeightGenerator(nn.Module):
    """Balance of the classification and the localization task, learned from the maps.

    Global average pool, FC(4 → hidden), ReLU, FC(hidden → 2), softmax: the
    weight-generating MLP of Tang et al. (arXiv 2208.03006).

    Args:
        hidden_channels: Width of the hidden layer, at least 1.

    Raises:
        ValueError: if ``hidden_channels`` is not positive.
    """

    def __init__(self, hidden_channels: int = 16) -> None:
        super().__init__()
        check_at_least_one(hidden_channels=hidden_channels)
        self.fc1 = nn.Linear(4, hidden_channels)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Linear(hidden_channels, 2)

    def forward(self, probabilities: Tensor) -> Tensor:
        """Weigh the two tasks for each image.

        Args:
            probabilities: The teacher's classification and localization
                probability and the student's, reduced over anchors: [N, 4, H, W].

        Returns:
            Weights [N, 2] of classification and localization; rows sum to 1.
        """
        pooled = probabilities.mean(dim=(2, 3))
        return self.fc2(self.relu(self.fc1(pooled))).softmax(dim=1)

    def weights(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Weights [N, 2] of all levels, as of every task weight generator, one after the other.

        Args:
            maps: Per level, what :meth:`forward` takes.
        """
        return [self(level) for level in maps]
