import pytest
import torch

from tbd.distill.checks import check_feature_maps, check_has_effect, check_location_maps


def test_settings_without_effect_are_refused_by_name():
    check_has_effect("with region='all'", near_ratio=(0.5, 0.5), region=("all", "all"))
    with pytest.raises(ValueError, match=r"near_ratio=0.3 has no effect with region='all'; leave"):
        check_has_effect("with region='all'", near_ratio=(0.3, 0.5))


@pytest.mark.parametrize("shape", [(1, 2, 3, 4), (1, 2, 3), (2, 2, 3, 3)])
def test_features_that_would_be_broadcast_are_refused(shape):
    with pytest.raises(ValueError, match="must have one shape"):
        check_feature_maps(torch.zeros(shape), torch.zeros(1, 2, 3, 3))


@pytest.mark.parametrize("shape", [(2, 3), (1, 4, 3), (2, 1, 4, 3)])
def test_maps_that_have_not_one_value_for_each_location_are_refused_by_name(shape):
    features = torch.zeros(2, 8, 4, 3)
    check_location_maps(features, mask=torch.zeros(2, 4, 3))
    with pytest.raises(ValueError, match=r"score \[.*\] must be \[2, 4, 3\], one value for each"):
        check_location_maps(features, mask=torch.zeros(2, 4, 3), score=torch.zeros(shape))
