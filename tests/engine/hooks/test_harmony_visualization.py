import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import VISBACKENDS
from mmengine.visualization import BaseVisBackend
from tiny import retinanet, wrapper
from tiny_run import (
    ROOT,
    config_dict,
    free_port,
    process_environment,
    write_config,
    write_data,
)

from tbd.engine import train
from tbd.engine.hooks import harmony_visualization
from tbd.engine.hooks.harmony_visualization import HarmonyVisualizationHook


@VISBACKENDS.register_module(force=True)
class RecordingVisBackend(BaseVisBackend):
    """Stands for TensorBoard or Weights & Biases."""

    recorded: list = []  # noqa: RUF012

    def _init_env(self):
        pass

    @property
    def experiment(self):
        return None

    def add_image(self, name, image, step=0, **kwargs):
        self.recorded.append((name, image, step))


@pytest.fixture
def content(tmp_path):
    write_data(tmp_path / "data")
    model = wrapper(student=retinanet(), teacher=retinanet(width=8, channels=16))
    # Statistics that a forward in training mode would change.
    for part in (model["student"], model["teacher"]):
        part["backbone"]["norm_cfg"] = dict(type="BN", requires_grad=True)
    # One epoch of four iterations.
    return config_dict(tmp_path / "data", model, epochs=1)


def run(content, tmp_path, name, *hooks):
    content = content | dict(custom_hooks=list(hooks))
    content["visualizer"] = content["visualizer"] | dict(
        name=name, vis_backends=[dict(type="LocalVisBackend"), dict(type="RecordingVisBackend")]
    )
    RecordingVisBackend.recorded = []
    train(write_config(tmp_path / f"{name}.py", content), str(tmp_path / name))
    return torch.load(tmp_path / name / "epoch_1.pth", weights_only=False)["state_dict"]


@pytest.mark.slow
def test_pictures_go_to_every_backend_and_training_does_not_notice(content, tmp_path):
    hook = dict(type="tbd.HarmonyVisualizationHook", interval=2, images=(0, 5))
    seen = run(content, tmp_path, "seen", hook)
    recorded = RecordingVisBackend.recorded
    assert [(name, step) for name, _, step in recorded] == [
        (name, step) for step in (2, 4) for name in ("harmony_0_0", "harmony_5_5")
    ]
    for name, image, step in recorded:
        assert image.dtype == np.uint8
        (path,) = (tmp_path / "seen").glob(f"*/vis_data/vis_image/{name}_{step}.png")
        assert (cv2.imread(str(path))[..., ::-1] == image).all()
    # The student has learned in between.
    assert (recorded[0][1] != recorded[2][1]).any()

    unseen = run(content, tmp_path, "unseen")
    assert any("running_mean" in key for key in unseen)
    assert all(torch.equal(seen[key], value) for key, value in unseen.items())


def test_maps_are_those_of_the_heads(content, tmp_path, monkeypatch):
    drawn = []

    def capture(image, gt_boxes, columns, strides, *rest):
        drawn.append((gt_boxes, {c.title: c.levels for c in columns}, strides))
        return real(image, gt_boxes, columns, strides, *rest)

    real = harmony_visualization.draw_maps
    monkeypatch.setattr(harmony_visualization, "draw_maps", capture)
    heads = []

    class Recorder(HarmonyVisualizationHook):
        def _draw(self, model, batch, *rest):
            inputs = model.data_preprocessor(batch, training=False)["inputs"]
            for detector in (model.teacher, model.student):
                assert not any(module.training for module in detector.modules())
                heads.append(
                    [
                        level.detach()
                        for level in detector.bbox_head(detector.extract_feat(inputs))[0]
                    ]
                )
            return super()._draw(model, batch, *rest)

    harmony_visualization.HOOKS.register_module(module=Recorder, name="Recorder", force=True)
    run(content, tmp_path, "maps", dict(type="tbd.Recorder", interval=4, images=(1,)))
    ((gt_boxes, maps, strides),) = drawn
    assert strides == [8, 16, 32]
    assert gt_boxes.shape == (2, 4)
    for role, logits in zip(("teacher", "student"), heads, strict=True):
        for level, cells in zip(logits, maps[f"$p_c$ {role}"], strict=True):
            # Two anchors of three classes; softmax over all anchors and locations.
            best = level[0].view(2, 3, *level.shape[2:]).amax(dim=1)
            expected = best.flatten().softmax(0).view_as(best).amax(dim=0)
            assert np.allclose(cells, expected.numpy(), atol=1e-6)
    for p_t, u_t, p_s, u_s, hs, psi in zip(
        *(maps[f"${name}$ {role}"] for role in ("teacher", "student") for name in ("p_c", "p_r")),
        maps["HS student"],
        maps[r"$\psi$"],
        strict=True,
    ):
        assert np.allclose(hs, 1 - np.tanh(np.abs(u_s - p_s)), atol=1e-6)
        assert np.allclose(psi, u_t * np.sqrt(1 + np.abs(p_t - p_s)), atol=1e-6)
    assert max(level.max() for level in maps["$p_r$ student"]) > 0.1


def test_nothing_is_drawn_after_distillation(content, tmp_path):
    hooks = [
        dict(type="tbd.HarmonyVisualizationHook", interval=1, images=(0,), norm="peak"),
        dict(type="tbd.StopDistillationHook", iteration=2),
    ]
    run(content, tmp_path, "stopped", *hooks)
    assert [step for _, _, step in RecordingVisBackend.recorded] == [1, 2]


def test_a_detector_without_a_teacher(content, tmp_path):
    content["model"] = retinanet()
    with pytest.raises(ValueError, match=r"model\.type is RetinaNet, which has no teacher"):
        run(content, tmp_path, "plain", dict(type="tbd.HarmonyVisualizationHook"))


def test_images_that_do_not_exist(content, tmp_path):
    hook = dict(type="tbd.HarmonyVisualizationHook", images=(3, 8))
    with pytest.raises(ValueError, match=r"images=\[8\].*has 8 images"):
        run(content, tmp_path, "outside", hook)
    for key in ("val_dataloader", "val_cfg", "val_evaluator"):
        content[key] = None
    with pytest.raises(ValueError, match="there is no validation"):
        run(content, tmp_path, "blind", hook)


@pytest.mark.parametrize("arguments", [dict(interval=0), dict(images=())])
def test_arguments_out_of_range(arguments):
    with pytest.raises(ValueError, match=r"interval=.*images="):
        HarmonyVisualizationHook(**arguments)


@pytest.mark.slow
def test_two_processes_draw_once(content, tmp_path):
    content["custom_hooks"] = [
        dict(type="tbd.HarmonyVisualizationHook", interval=1, images=(0,)),
    ]
    config = write_config(tmp_path / "run.py", content)
    result = subprocess.run(
        ["bash", str(ROOT / "tools/dist_train.sh"), config, "2", "--work-dir", tmp_path / "work"],
        env=process_environment(PYTHON=sys.executable, CUDA_VISIBLE_DEVICES="", PORT=free_port()),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    # Two iterations each.
    names = sorted(path.name for path in (tmp_path / "work").glob("*/vis_data/vis_image/*.png"))
    assert names == ["harmony_0_0_1.png", "harmony_0_0_2.png"]
