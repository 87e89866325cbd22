"""Task-Balanced Distillation of a student whose training is put together from the files beside.

An inheriting config names ``student``, ``teacher`` and ``teacher_ckpt``.
"""

_base_ = "tbd_terms.py"

model = dict(type="tbd.TeacherStudentDetector", distill={{_base_.distillation.terms}})
