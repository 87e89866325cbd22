import shutil
from functools import cache

from shipped import ROOT, distillations, shipped

from tbd.detectors.model_config import resolve_model_config
from tbd.studies.pairs import shipped_pairs


def test_every_pair_is_tried_once():
    pairs = [path.removeprefix(f"{ROOT}/") for path in shipped_pairs(ROOT)]
    assert pairs[0] == "tbd_retinanet_r101_r50.py"
    assert "tbd/tbd_faster-rcnn_r101_r50.py" in pairs
    # The same detectors as in the first, by another method.
    assert "fgd/fgd_retinanet_r101_r50.py" not in pairs
    # The same by a longer schedule, on fewer images, and from another checkpoint.
    assert "bccd/tbd_retinanet_bccd.py" in pairs
    assert not {"bccd/tbd_retinanet-2x_bccd.py", "bccd/tbd_retinanet-half_bccd.py"} & {*pairs}
    assert "shapes/tbd_retinanet_retinanet-3x_shapes.py" not in pairs
    # Another width.
    assert "bccd/tbd_retinanet-fpn64_bccd.py" in pairs

    @cache
    def from_file(path):
        return resolve_model_config(path)

    def read(detector):
        return from_file(detector) if isinstance(detector, str) else detector

    def pair(config):
        model = shipped(config).model
        detectors = [
            model[side] and resolve_model_config(read(model[side]), model.get(f"{side}_options"))
            for side in ("student", "teacher")
        ]
        return detectors, model.get("student_init"), model.get("level_map")

    kept = [pair(config) for config in pairs]
    assert all(kept.index(one) == number for number, one in enumerate(kept))
    assert all(pair(config) in kept for config in distillations())


def test_pairs_of_a_folder_of_ones_own(tmp_path):
    shutil.copytree(ROOT / "_base_", tmp_path / "_base_")
    shutil.copytree(ROOT / "shapes", tmp_path / "shapes")
    pairs = shipped_pairs(tmp_path)
    assert f"{tmp_path}/shapes/tbd_retinanet_shapes.py" in pairs
    assert f"{tmp_path}/shapes/vid_retinanet_shapes.py" not in pairs
