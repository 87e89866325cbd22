"""schedule.py for a backbone with ImageNet weights: it learns at a tenth of the rate."""

_base_ = "schedule.py"

optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
