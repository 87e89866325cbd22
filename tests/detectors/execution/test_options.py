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
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
