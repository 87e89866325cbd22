"""The two terms of Task-Balanced Distillation, which tbd.py and distillation.py refer to."""

distillation = dict(
    terms=dict(
        hd=dict(type="tbd.HarmonyDistillation", loss_weight=1.0),
        tfd=dict(type="tbd.TaskDecoupledFeatureDistillation", loss_weight=1.0),
    ),
    # For YOLOX and YOLOv3, whose class scores learn at objects alone: with their objectness.
    ranking_terms=dict(
        hd=dict(type="tbd.HarmonyDistillation", loss_weight=1.0, confidence="ranking"),
        tfd=dict(
            type="tbd.TaskDecoupledFeatureDistillation", loss_weight=1.0, confidence="ranking"
        ),
    ),
)
