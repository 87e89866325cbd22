"""Task-Balanced Distillation: the wrapper and its two terms.

An inheriting config names ``student``, ``teacher`` and ``teacher_ckpt``.
"""

model = dict(
    type="tbd.TeacherStudentDetector",
    distill=dict(
        hd=dict(type="tbd.HarmonyDistillation", loss_weight=1.0),
        tfd=dict(type="tbd.TaskDecoupledFeatureDistillation", loss_weight=1.0),
    ),
)
