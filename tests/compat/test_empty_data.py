import copy

import pytest
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from tiny import wrapper
from tiny_run import config_dict, write_data

from tbd.compat.empty_data import name_empty_data


@pytest.mark.openmmlab
@pytest.mark.parametrize("filters", [dict(min_size=999), dict(filter_empty_gt=True, min_size=999)])
def test_a_data_set_without_images_says_why(tmp_path, filters):
    write_data(tmp_path, images=2)
    register_all_modules()
    dataset = copy.deepcopy(config_dict(tmp_path, wrapper())["train_dataloader"]["dataset"])
    name_empty_data()  # again, which changes nothing
    with pytest.raises(ValueError, match=r"no image left of ann_file=.*all\.json.*min_size.: 999"):
        DATASETS.build(dataset | dict(filter_cfg=filters))
    assert len(DATASETS.build(dataset | dict(filter_cfg=dict(min_size=9)))) == 2
