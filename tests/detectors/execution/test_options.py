"""Options of execution, read and checked."""

import pytest
from executed import build


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(teacher_execution=dict(dtype="int8")), r"dtype='int8'.*fp32, bf16, fp16"),
        (dict(teacher_execution=dict(fold=True)), r"teacher_execution=.*fold_norms"),
        (dict(teacher_execution=dict(compile="fast")), r"compile\.mode='fast'"),
        (dict(student_execution=dict(compile=dict(max_shapes=8))), r"max_shapes=8"),
        (dict(teacher_execution=dict(fold_norms="no")), r"execution\.fold_norms='no' must be True"),
        (dict(teacher_execution=dict(dtype=["bf16"])), r"dtype=\['bf16'\] must be a text or None"),
        (dict(student_execution=dict(channels_last="no")), r"channels_last='no' must be True or"),
        (dict(student_execution=dict(compile=3)), r"student_execution\.compile=3 must be True or"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        build(**options)
