import math

import pytest
import torch

from tbd.losses import class_balanced_weights
from tbd.losses.class_balance import with_background


def test_inverse_counts_with_sum_c():
    weights = class_balanced_weights([1000, 100, 10])
    assert weights.sum().item() == pytest.approx(3)
    total = 1 / 1000 + 1 / 100 + 1 / 10
    assert weights.tolist() == pytest.approx([3 / n / total for n in (1000, 100, 10)])
    assert class_balanced_weights(torch.tensor([5, 5])).tolist() == [1, 1]


def test_an_empty_class_is_an_error_or_a_choice():
    with pytest.raises(ValueError, match=r"classes \[1, 3\] have no samples"):
        class_balanced_weights([4, 0, 2, 0])
    assert class_balanced_weights([4, 0, 2], min_count=1).equal(class_balanced_weights([4, 1, 2]))


@pytest.mark.parametrize("counts", [[], [-1, 2], [math.inf, 1], [math.nan, 1], [[1, 2]]])
def test_bad_counts(counts):
    with pytest.raises(ValueError, match="counts"):
        class_balanced_weights(counts)


def test_min_count_must_be_above_zero():
    with pytest.raises(ValueError, match=r"min_count=.* must be finite and positive"):
        class_balanced_weights([1, 2], min_count=0)


def test_the_background_weighs_what_a_foreground_sample_weighs_on_average():
    counts = [1439, 487, 165, 46, 10]
    *foreground, background = class_balanced_weights(with_background(counts)).tolist()
    mean = sum(n * w for n, w in zip(counts, foreground, strict=True)) / sum(counts)
    assert background == pytest.approx(mean)
