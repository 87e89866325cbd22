import pytest
import tiny

from tbd.detectors import resolve_model_config

PACKAGED = "mmdet::retinanet/retinanet_r50_fpn_2x_coco.py"


def test_config_of_an_installed_package():
    model = resolve_model_config(PACKAGED)
    assert (model.type, model.backbone.depth) == ("RetinaNet", 50)


def test_options_are_merged_as_inheritance_would():
    options = dict(
        backbone=dict(init_cfg=None),
        neck=dict(_delete_=True, type="PAFPN", in_channels=[256], out_channels=8, num_outs=5),
    )
    model = resolve_model_config(PACKAGED, options)
    assert model.backbone.init_cfg is None
    assert model.backbone.depth == 50
    assert set(model.neck) == {"type", "in_channels", "out_channels", "num_outs"}
    assert resolve_model_config(PACKAGED).backbone.init_cfg is not None


def test_config_file_and_its_top_level_preprocessor(tmp_path):
    path = tmp_path / "config.py"
    path.write_text("data_preprocessor = dict(type='A')\nmodel = dict(type='B')\n")
    assert resolve_model_config(str(path)) == dict(type="B", data_preprocessor=dict(type="A"))


def test_distillation_config_stands_for_its_student():
    config = tiny.wrapper(student_options=dict(bbox_head=dict(stacked_convs=2)))
    model = resolve_model_config(config)
    assert model.type == "RetinaNet"
    assert model.bbox_head.stacked_convs == 2


def test_the_given_dict_is_not_changed():
    given = tiny.retinanet()
    resolve_model_config(given, dict(neck=dict(num_outs=9)))
    assert given == tiny.retinanet()


def test_file_without_a_model(tmp_path):
    path = tmp_path / "config.py"
    path.write_text("a = 1\n")
    with pytest.raises(ValueError, match="no 'model'"):
        resolve_model_config(str(path))
