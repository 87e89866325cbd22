"""The example of a deployment, without torch and MMDetection."""

import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tiny
from deployed import IMAGE, build, exported_bytes
from tiny_run import ROOT, process_environment

from tbd.engine.deployment import OnnxDetector

pytest.importorskip("onnxruntime")

PROGRAM = """
import sys
sys.modules.update(dict.fromkeys(("torch", "torchvision", "mmcv", "mmengine", "mmdet", "tbd")))
import runpy
import cv2, numpy as np, onnxruntime
detect = runpy.run_path({example!r})["detect"]
found = detect(onnxruntime.InferenceSession({model!r}), cv2.imread({image!r}))
boxes, scores, labels = zip(*(item for item in found if item[1] > 0))
np.savez({found!r}, boxes=boxes, scores=scores, labels=labels)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    image = replace(IMAGE, keep_ratio=True, pad_value=(104.0, 116.0, 124.0))
    path = tmp_path_factory.mktemp("example") / "student.onnx"
    path.write_bytes(exported_bytes(build(tiny.retinanet()), image, end_to_end=True))
    return path


@pytest.mark.parametrize("size", [(48, 100), (200, 90)])
def test_the_example_finds_what_the_toolkit_finds(model, tmp_path, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "image.png"), image)
    program = PROGRAM.format(
        example=str(ROOT / "examples" / "onnx_webcam.py"),
        model=str(model),
        image=str(tmp_path / "image.png"),
        found=str(tmp_path / "found.npz"),
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, env=process_environment(), timeout=60
    )
    found = np.load(tmp_path / "found.npz")
    expected = OnnxDetector(model)(image)
    assert len(expected.scores)
    np.testing.assert_array_equal(found["labels"], expected.labels)
    np.testing.assert_allclose(found["scores"], expected.scores, atol=1e-6)
    inside = np.clip(found["boxes"], 0, [size[1], size[0], size[1], size[0]])
    np.testing.assert_allclose(inside, expected.boxes, atol=1e-3)
