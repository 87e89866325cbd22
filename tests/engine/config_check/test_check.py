import os.path as osp
from pathlib import Path
from types import SimpleNamespace

import mmdet
import pytest
from mmengine.hooks import CheckpointHook
from shipped import CONFIGS, shipped
from tiny import retinanet, wrapper
from tiny_run import config_dict, write_config, write_data

from tbd.engine import check_config, load_config, train
from tbd.engine.config_check import check_custom_keys
from tbd.engine.hooks import ConfigCheckHook
from tbd.registry import MODELS

MMDETECTION = Path(mmdet.__file__).parent / ".mim" / "configs"


def config(tmp_path, **options):
    return load_config(write_config(tmp_path / "run.py", config_dict(tmp_path, wrapper())), options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"traiin_cfg": dict(max_epochs=3)}, r"traiin_cfg=.* did you mean train_cfg\?"),
        ({"optim_wraper": dict()}, r"optim_wraper=.* did you mean optim_wrapper\?"),
        ({"custom_hook": []}, r"custom_hook=\[\] .* did you mean custom_hooks\?"),
        ({"load_form": "a.pth"}, "did you mean load_from"),
        (
            {"auto_scale_lr": dict(enabel=True)},
            r"auto_scale_lr\.enabel=True.*did you mean enable",
        ),
        ({"default_hooks.exprt": None}, r"default_hooks\.exprt=None.* did you mean export\?"),
        ({"default_hooks.chekpoint": dict(interval=5)}, "has no type.* did you mean checkpoint"),
        ({"default_hooks.loger": dict(type="LoggerHook")}, "call it default_hooks.logger"),
        ({"default_hooks.checkpoint.intervall": 5}, r"checkpoint\.intervall=5.*\.interval\?"),
        ({"default_hooks.checkpoint.interval": 0}, r"interval=0 writes no checkpoint"),
        ({"default_hooks.checkpoint.interval": True}, "interval=True must be an integer"),
        ({"optim_wrapper.optimizer.lr": float("nan")}, r"optimizer\.lr=nan must be a finite"),
        ({"optim_wrapper.optimizer.lr": "0.1"}, r"optimizer\.lr='0\.1' must be a finite number"),
        ({"optim_wrapper.optimizer.lr": -1}, r"optimizer\.lr=-1 must be finite and not neg"),
        ({"optim_wrapper.paramwise_cfg": dict(custom_key={})}, "did you mean .*custom_keys"),
        ({"train_cfg.max_epoch": 5}, r"train_cfg\.max_epoch=5 is no argument.*mean max_epochs"),
        ({"val_cfg": dict(fp61=True)}, r"val_cfg\.fp61=True is no argument of ValLoop.*mean fp16"),
        ({"train_cfg.max_epochs": 0}, r"train_cfg\.max_epochs=0 trains nothing"),
        ({"custom_hooks": dict(type="EMAHook")}, "custom_hooks=.* must be a list"),
        ({"model.distill.hd.loss_weight": float("nan")}, r"model\.distill\.hd\.loss_weight=nan"),
        # Values of the wrong kind, for parts of MMEngine, MMDetection and PyTorch.
        ({"default_hooks.checkpoint.by_epoch": "no"}, r"checkpoint\.by_epoch='no' must be True or"),
        ({"default_hooks.checkpoint.max_keep_ckpts": float("nan")}, "max_keep_ckpts=nan must be"),
        ({"train_dataloader.sampler.shuffle": "no"}, r"sampler\.shuffle='no' must be True or"),
        ({"train_dataloader.drop_last": "no"}, r"train_dataloader\.drop_last='no' must be True or"),
        ({"train_dataloader.dataset.serialize_data": "no"}, "serialize_data='no' must be True or"),
        ({"train_dataloader.dataset.filter_cfg": dict(min_siz=3)}, r"did you mean .*\.min_size\?"),
        (
            {"train_dataloader.dataset.filter_cfg": dict(min_size="3")},
            "min_size='3' must be an",
        ),
        ({"train_dataloader.dataset.indices": 0}, "indices=0 leaves no image"),
        (
            {"optim_wrapper.optimizer.type": "Adam"},
            r"optimizer\.momentum=0\.9 is no argument of Adam; .*wrapper\.optimizer\._delete_=True",
        ),
        ({"val_evaluator": None}, "val_evaluator is None, and val_dataloader and val_cfg not; set"),
        ({"optim_wrapper.optimizer.momentum": True}, r"momentum=True must be a finite number"),
        ({"optim_wrapper.accumulative_counts": 1.5}, r"accumulative_counts=1\.5 must be an int"),
        ({"optim_wrapper.optimizer.type": "SDG"}, r"optimizer\.type='SDG'.*did you mean 'SGD'"),
        (
            {"optim_wrapper.clip_grad": dict(max_norm=-1)},
            r"clip_grad\.max_norm=-1 must be pos",
        ),
        ({"optim_wrapper.clip_grad": dict(max_nrom=3)}, r"clip_grad\.max_nrom=3.*mean max_norm"),
        (
            {"optim_wrapper.paramwise_cfg": dict(custom_keys=dict(a=dict(lr_mul=1)))},
            r"custom_keys\['a'\]\.lr_mul=1 .*\.lr_mult\?",
        ),
        (
            {"optim_wrapper.paramwise_cfg": dict(custom_keys=dict(a=dict(lr_mult=-1)))},
            r"custom_keys\['a'\]\.lr_mult=-1 must be finite and not negative",
        ),
        ({"param_scheduler": [dict(type="LinearLr")]}, r"\[0\]\.type='LinearLr'.*'LinearLR'"),
        (
            {"param_scheduler": [dict(type="MultiStepLR", milestones="8")]},
            r"param_scheduler\[0\]\.milestones='8' must be a list",
        ),
        (
            {"param_scheduler": [dict(type="ExponentialLR", gamma=-1)]},
            r"param_scheduler\[0\]\.gamma=-1 must be finite and not negative",
        ),
        ({"train_cfg.val_interval": 0}, r"train_cfg\.val_interval=0 must be 1 or more"),
        ({"custom_hooks": [dict(type="EMAHook", strict_load="no")]}, r"\[0\]\.strict_load='no'"),
        ({"custom_hooks": [dict(type="EMAHook", update_buffers="no")]}, r"\.update_buffers='no'"),
        ({"custom_hooks": [dict(type="CheckpointHook")]}, "it would run twice"),
        ({"custom_hooks": [dict(type="EMAHook", priority="HIHG")]}, "priority='HIHG' must be"),
        (
            {"custom_hooks": [dict(type="StopDistillationHook", epoch=1)]},
            "type='StopDistillationHook'.*did you mean 'tbd.StopDistillationHook'",
        ),
        (
            {"custom_hooks": [dict(type="tbd.StopDistillationHook", epoch="1")]},
            r"custom_hooks\[0\]: tbd\.StopDistillationHook: epoch='1' must be an integer",
        ),
        ({"custom_hooks": [dict(type="tbd.EpochSeedHook", seed=1)]}, "has no arguments.*seed"),
        ({"randomness.deterministic": "no"}, r"randomness\.deterministic='no' must be True or"),
        ({"auto_scale_lr": dict(enable=True, base_batch_size=0)}, "base_batch_size=0 must be 1"),
        ({"default_scope": "mmdett"}, "default_scope='mmdett' is no package.*mmdet"),
        # Values that a run would take, and that do nothing or harm.
        ({"train_dataloader.dataset.test_mode": True}, r"dataset\.test_mode=True lets images"),
        ({"train_dataloader.dataset.pipeline": []}, r"dataset\.pipeline=\[\] loads nothing"),
        (
            {"train_dataloader.dataset.metainfo": dict(CLASSES=("bar",))},
            r"metainfo\.CLASSES=.* did you mean classes",
        ),
        (
            {"train_dataloader.dataset.metainfo": dict(clases=("bar",))},
            r"metainfo\.clases=.* did you mean .*classes",
        ),
        (
            {"train_dataloader.dataset": dict(_delete_=True, type="ConcatDataset", datasets=[])},
            r"train_dataloader\.dataset\.datasets=\[\] joins nothing",
        ),
        (
            {
                "train_dataloader.dataset": dict(
                    _delete_=True, type="RepeatDataset", times=0, dataset=dict(type="CocoDataset")
                )
            },
            r"train_dataloader\.dataset\.times=0 must be at least 1",
        ),
        ({"val_evaluator": []}, r"val_evaluator=\[\] measures nothing; give it a metric"),
        ({"test_evaluator": []}, r"test_evaluator=\[\] measures nothing; give it a metric"),
        ({"env_cfg.cudnn_benchmrk": True}, r"env_cfg\.cudnn_benchmrk=True.*cudnn_benchmark\?"),
        ({"launcher": "pytorc"}, "launcher='pytorc' must be 'none' or"),
        ({"log_level": 3}, "log_level=3 must be"),
        ({"optim_wrapper.optimizer.lr": 0}, r"optimizer\.lr=0 trains nothing"),
        ({"optim_wrapper.optimizer.momentum": 2.0}, r"momentum=2\.0 must be 0 or more and below"),
        ({"optim_wrapper.accumulative_counts": 0}, r"accumulative_counts=0 must be 1 or more"),
        (
            {"default_hooks.checkpoint.filename_tmpl": "../../x_{}.pth"},
            r"filename_tmpl='\.\./\.\./x_\{\}\.pth' must be the name of a file",
        ),
        (
            {"param_scheduler": [dict(type="MultiStepLR", milestones=[-3])]},
            r"milestones=\[-3\] must be 1 or more",
        ),
        (
            {"param_scheduler": [dict(type="StepLR", step_size=0)]},
            r"step_size=0 must be at least 1",
        ),
        (
            {"param_scheduler": [dict(type="LinearLR", start_facto=0.1)]},
            r"param_scheduler\[0\]\.start_facto=0\.1 is no argument of .*mean start_factor\?",
        ),
        (
            {"param_scheduler": [dict(type="LinearLR", start_factor=0)]},
            r"\[0\]\.start_factor=0 starts from a rate of 0.* such as 0\.001",
        ),
        (
            {"param_scheduler": [dict(type="MultiStepLR", milestones=8)]},
            r"param_scheduler\[0\]\.milestones=8 must be a list",
        ),
        ({"param_scheduler": ["LinearLR"]}, r"param_scheduler\[0\]='LinearLR' must be a dict"),
        ({"param_scheduler": 3}, r"param_scheduler=3 must be a dict"),
        ({"randomness": dict(sed=1)}, r"randomness\.sed=1 is no argument .*mean seed\?"),
        ({"log_processor": dict(windo_size=1)}, r"windo_size=1 is no argument of LogProcessor"),
        ({"optim_wrapper": None}, r"optim_wrapper is None, and train_dataloader and train_cfg not"),
        ({"model.type": "RetinaNett"}, r"model\.type='RetinaNett'.*did you mean 'RetinaNet'\?"),
        (
            {"model": dict(type="TeacherStudentDetector")},
            r"model\.type=.*did you mean 'tbd\.TeacherStudentDetector'\?",
        ),
        ({"model.backbone.type": "ResNett"}, r"model\.backbone\.type='ResNett'.*mean 'ResNet'\?"),
    ],
)
def test_what_a_run_would_pass_over_is_refused(tmp_path, options, message):
    cfg = config(tmp_path, **options)
    with pytest.raises((TypeError, ValueError), match=message):
        check_config(cfg)


def test_a_tiny_config_passes_with_variables_of_its_own(tmp_path):
    check_config(config(tmp_path, my_scale=3, val_evaluator_full=dict(type="CocoMetric")))


@pytest.mark.parametrize("name", CONFIGS)
def test_no_shipped_config_is_complained_of(name):
    check_config(shipped(name))


def test_values_that_mean_what_they_should_are_let_be(tmp_path):
    check_config(
        config(
            tmp_path,
            **{
                # Whole numbers and switches as configs compute and write them.
                "train_cfg.val_interval": 2.0,
                "default_hooks.checkpoint.by_epoch": 1,
                "optim_wrapper.clip_grad": dict(max_norm=0.1, norm_type=2),
                "custom_hooks": [dict(type="EMAHook", priority=49, update_buffers=True)],
                "train_dataloader.dataset.filter_cfg": dict(filter_empty_gt=True, min_size=32),
            },
        )
    )


@pytest.mark.slow
@pytest.mark.openmmlab
def test_none_of_mmdetections_configs_is_complained_of():
    checked = 0
    for file in sorted(MMDETECTION.rglob("*.py")):
        if "_base_" in file.parts:
            continue
        try:
            cfg = load_config(str(file))
        except (ImportError, FileNotFoundError):
            # It needs another package, or one of its bases is not in the distribution.
            continue
        check_config(cfg)
        checked += 1
    assert checked > 500


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(test_cfg=dict(score_thr="x")), r"student\.test_cfg\.score_thr='x' must be a finite"),
        (
            dict(bbox_head=dict(loss_cls=dict(loss_weight=-1))),
            "loss_weight=-1 must not be negative",
        ),
        (dict(neck=dict(no_norm_on_lateral="no")), r"neck\.no_norm_on_lateral='no' must be True"),
        (
            dict(test_cfg=dict(nms=dict(iou_thresold=0.5))),
            r"student\.test_cfg\.nms\.iou_thresold=0\.5 .* did you mean iou_threshold\?",
        ),
        (dict(test_cfg=dict(nms=dict(type="nmms"))), r"nms\.type='nmms' .* did you mean 'nms'"),
        (dict(backbone=None), r"model\.student\.backbone=None leaves RetinaNet without"),
        (dict(bbox_head=None), "model.student: the detector RetinaNet cannot be built"),
        (
            dict(train_cfg=dict(assigner=dict(pos_iou_thrr=0.5))),
            "model.student: the detector RetinaNet cannot be built: .*pos_iou_thrr",
        ),
    ],
)
def test_values_that_mean_nothing_to_the_student_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        MODELS.build(wrapper(student_options=options))


def test_a_metric_that_a_validation_does_not_give_is_named():
    hooks = [CheckpointHook(save_best="bbox_mAP", rule="greater")]
    with pytest.raises(ValueError, match=r"save_best='bbox_mAP' .* did you mean coco/bbox_mAP\?"):
        ConfigCheckHook().after_val_epoch(SimpleNamespace(hooks=hooks), {"coco/bbox_mAP": 0.1})
    ConfigCheckHook().after_val_epoch(SimpleNamespace(hooks=hooks), {"bbox_mAP": 0.1})


def test_misspelt_settings_of_the_student_are_refused():
    with pytest.raises(ValueError, match=r"student\.test_cfg\.score_th .*test_cfg\.score_thr"):
        MODELS.build(wrapper(student_options=dict(test_cfg=dict(score_th=0.3))))
    with pytest.raises(ValueError, match=r"train_cfg\.asigner.*train_cfg\.assigner"):
        MODELS.build(wrapper(student_options=dict(train_cfg=dict(asigner=dict()))))


def test_anchors_that_are_no_boxes_are_refused():
    student = retinanet()
    student["bbox_head"]["anchor_generator"]["ratios"] = [1.0, -2.0]
    with pytest.raises(ValueError, match=r"anchor_generator\.ratios=\[1\.0, -2\.0\] must be pos"):
        MODELS.build(wrapper(student=student))


@pytest.mark.parametrize(
    ("distill", "message"),
    [
        (dict(tdf=None), r"distill\.tdf=None drops no term; did you mean distill\.tfd\?"),
        (dict(my_loss=dict(type="tbd.HarmonyDistillation")), "distill.my_loss: MMEngine sums all"),
        ({"a.b": dict(type="tbd.HarmonyDistillation")}, r"distill\['a\.b'\] is no name"),
        (dict(hd=dict(type="tbd.HarmonyDistilation")), "did you mean tbd.HarmonyDistillation"),
        (dict(hd=dict(type="tbd.HarmonyDistillation", schedule=3)), "schedule=3 must be a dict"),
    ],
)
def test_terms_under_names_that_would_mislead_are_refused(distill, message):
    terms = wrapper()["distill"] | distill
    with pytest.raises((TypeError, ValueError), match=message):
        MODELS.build(wrapper(distill=terms))


def test_a_term_is_found_under_its_name_without_the_scope():
    model = MODELS.build(wrapper(distill=dict(hd=dict(type="HarmonyDistillation"))))
    assert type(model.terms["hd"]).__name__ == "HarmonyDistillation"


def test_dropping_a_term_for_a_method_of_a_like_name_is_no_mistake():
    MODELS.build(wrapper(distill=dict(pgd=None, pkd=dict(type="tbd.PearsonFeatureDistillation"))))


def test_a_misspelt_name_of_parameters_is_refused():
    names = ["student.backbone.conv1.weight", "student.neck.conv.bias"]
    keys = dict(backbone=dict(lr_mult=0.1), absolute_pos_embed=dict(decay_mult=0.0))
    unused = check_custom_keys(dict(paramwise_cfg=dict(custom_keys=keys)), names)
    assert unused == ["absolute_pos_embed"]
    with pytest.raises(ValueError, match=r"custom_keys\['bakbone'\].*did you mean 'backbone'"):
        check_custom_keys(dict(paramwise_cfg=dict(custom_keys=dict(bakbone={}))), names)


def test_a_training_is_refused_before_it_leaves_a_trace(tmp_path):
    write_data(tmp_path / "data")
    content = config_dict(tmp_path / "data", wrapper())
    content["traiin_cfg"] = dict(max_epochs=9)
    with pytest.raises(ValueError, match="did you mean train_cfg"):
        train(write_config(tmp_path / "run.py", content), str(tmp_path / "work"))
    assert not osp.exists(tmp_path / "work")
