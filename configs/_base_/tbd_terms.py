"""The two terms of Task-Balanced Distillation, which tbd.py and distillation.py refer to."""

distillation = dict(
    terms=dict(
        hd=dict(type="tbd.HarmonyDistillation", loss_weight=1.0),
        tfd=dict(type="tbd.TaskDecoupledFeatureDistillation", loss_weight=1.0),
    ),
)
