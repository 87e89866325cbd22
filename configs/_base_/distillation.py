"""Task-Balanced Distillation of a student that keeps a training recipe of its own.

A config lists this file beside the recipe, any full config of MMDetection, and refers to
``{{_base_.distillation.hooks}}`` and ``{{_base_.distillation.terms}}``; MMEngine lets no two bases
of a config share a key, so neither can be set here.
"""

custom_imports = dict(imports=["tbd"])
distillation = dict(
    hooks=dict(
        checkpoint=dict(max_keep_ckpts=3),
        seed=dict(type="tbd.EpochSeedHook"),
        class_check=dict(type="tbd.ClassListCheckHook"),
        export=dict(type="tbd.StudentExportHook"),
    ),
    terms=dict(
        hd=dict(type="tbd.HarmonyDistillation", loss_weight=1.0),
        tfd=dict(type="tbd.TaskDecoupledFeatureDistillation", loss_weight=1.0),
    ),
)
