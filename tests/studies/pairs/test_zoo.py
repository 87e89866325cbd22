import shutil

from shipped import ROOT, distillations, shipped

from tbd.studies.pairs import shipped_pairs


def test_every_pair_is_tried_once():
    pairs = [path.removeprefix(f"{ROOT}/") for path in shipped_pairs(ROOT)]
    assert pairs[0] == "tbd_retinanet_r101_r50.py"
    assert "tbd/tbd_faster-rcnn_r101_r50.py" in pairs
    # The same detectors as in the first, by another method.
    assert "fgd/fgd_retinanet_r101_r50.py" not in pairs

    def pair(config):
        terms = ("distill", "auto_share")
        return {key: value for key, value in shipped(config).model.items() if key not in terms}

    kept = [pair(config) for config in pairs]
    assert all(kept.index(one) == number for number, one in enumerate(kept))
    assert all(pair(config) in kept for config in distillations())


def test_pairs_of_a_folder_of_ones_own(tmp_path):
    shutil.copytree(ROOT / "_base_", tmp_path / "_base_")
    shutil.copytree(ROOT / "shapes", tmp_path / "shapes")
    pairs = shipped_pairs(tmp_path)
    assert f"{tmp_path}/shapes/tbd_retinanet_shapes.py" in pairs
    assert f"{tmp_path}/shapes/vid_retinanet_shapes.py" not in pairs
