"""Pictures of what a generative model makes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image
from torch import Tensor

from tbd.engine.wrappers import unwrap
from tbd.generative import (
    AutoEncodingModel,
    GenerativeAdversarialNetwork,
    VariationalAutoEncoder,
    to_pixels,
)
from tbd.registry import HOOKS
from tbd.visualization.codes import draw_codes
from tbd.visualization.image_grid import image_grid
from tbd.visualization.maps import to_pixels as figure_pixels

_STEPS = 10
"""Images of an interpolation."""


@HOOKS.register_module()
class GenerativeVisualizationHook(Hook):
    """Draw after each validation and test what the model makes.

    - ``samples``: images of a generative adversarial network or of the prior of a variational
      autoencoder, from the same noise each time, so that one sees them grow;
    - ``reconstructions``: of an autoencoder, each below its original;
    - ``codes``: of an autoencoder with three numbers per code, by class;
    - ``interpolation``: of a variational autoencoder, rows from one validation image to another,
      by steps of equal length between their mean codes.

    They go to every backend of the visualizer: files, TensorBoard, Weights & Biases. A classifier
    has no pictures.

    Args:
        columns: Images per row; there are as many rows of samples.
        draw: Whether to draw.
        show: Whether to show the pictures of a test in windows.
        wait_time: How long each window stays open, in seconds.
        test_out_dir: Folder, inside the run's log folder, for the pictures of a test too.

    Raises:
        ValueError: if ``columns`` is not positive.
    """

    priority = "NORMAL"

    def __init__(
        self,
        columns: int = 10,
        draw: bool = True,
        show: bool = False,
        wait_time: float = 0.0,
        test_out_dir: str | None = None,
    ) -> None:
        if columns < 1:
            raise ValueError(f"default_hooks.visualization: columns={columns} must be at least 1.")
        self.columns = columns
        self.draw = draw
        self.show = show
        self.wait_time = wait_time
        self.test_out_dir = test_out_dir
        self._originals: list[Tensor] = []
        self._outputs: list[Any] = []

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Keep what the pictures are made of."""
        if self.draw:
            # The first images will do for reconstructions; of the codes all are drawn.
            if len(self._originals) < self.columns**2:
                self._originals.extend(data_batch["inputs"])
            self._outputs.extend(outputs or ())

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Keep what the pictures are made of."""
        self.after_val_iter(runner, batch_idx, data_batch, outputs)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw."""
        self._write(runner, testing=False)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw."""
        self._write(runner, testing=True)

    @master_only
    def _write(self, runner: Runner, testing: bool) -> None:
        model = unwrap(runner.model)
        with torch.no_grad():
            for name, picture in self._pictures(model, runner) if self._outputs else ():
                runner.visualizer.add_image(name, picture, runner.epoch)
                if testing and self.test_out_dir is not None:
                    folder = Path(runner.work_dir, runner.timestamp, self.test_out_dir)
                    folder.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(picture).save(folder / f"{name}.png")
                if testing and self.show:
                    runner.visualizer.show(picture, win_name=name, wait_time=self.wait_time)
        self._originals, self._outputs = [], []

    def _pictures(self, model: Any, runner: Runner) -> Iterator[tuple[str, np.ndarray]]:
        if isinstance(model, VariationalAutoEncoder | GenerativeAdversarialNetwork):
            samples = to_pixels(model.sample(self.columns**2)).cpu().numpy()
            yield "samples", image_grid(samples, self.columns)
        if isinstance(model, AutoEncodingModel):
            yield "reconstructions", self._reconstructions()
            codes = torch.stack([output.code for output in self._outputs]).float().cpu().numpy()
            if codes.shape[1] == 3:
                labels = np.array([output.label for output in self._outputs])
                classes = runner.visualizer.dataset_meta["classes"]
                title = f"codes of {len(codes)} images"
                yield "codes", figure_pixels(draw_codes(codes, labels, classes, title))
        if isinstance(model, VariationalAutoEncoder):
            yield "interpolation", self._interpolation(model)

    def _reconstructions(self) -> np.ndarray:
        """Rows of originals, each followed by the row of their reconstructions."""
        columns = min(self.columns, len(self._originals))
        rows: list[Tensor] = []
        for row in range(min(-(-self.columns // 2), len(self._originals) // columns)):
            images = slice(row * columns, (row + 1) * columns)
            rows += [image.cpu() for image in self._originals[images]]
            rows += [output.reconstruction.cpu() for output in self._outputs[images]]
        return image_grid(torch.stack(rows).numpy(), columns)

    def _interpolation(self, model: VariationalAutoEncoder) -> np.ndarray:
        codes = torch.stack([output.code for output in self._outputs[: 2 * self.columns]])
        pairs = min(self.columns // 2, len(codes) // 2)
        shares = torch.linspace(0, 1, _STEPS, device=codes.device)[:, None]
        rows = [
            model.decode(torch.lerp(codes[2 * index], codes[2 * index + 1], shares))
            for index in range(pairs)
        ]
        return image_grid(to_pixels(torch.cat(rows)).cpu().numpy(), _STEPS)
