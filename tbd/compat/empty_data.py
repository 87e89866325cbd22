"""A data set from which everything is left out says so, and why."""

import functools
from typing import Any


def name_empty_data() -> None:
    """Let MMEngine say which data set is empty, where NumPy would complain of an empty list.

    Calling it again changes nothing.
    """
    from mmengine.dataset import BaseDataset

    serialize = BaseDataset._serialize_data
    if getattr(serialize, "names_empty_data", False):
        return

    @functools.wraps(serialize)
    def check_and_serialize(self: Any) -> Any:
        if not self.data_list:
            raise ValueError(
                f"{type(self).__name__} has no image left of ann_file={self.ann_file!r}, with "
                f"filter_cfg={self.filter_cfg!r} and metainfo.classes="
                f"{self.metainfo.get('classes')!r}. Set these so that some remain: images smaller "
                "than filter_cfg.min_size, and with filter_empty_gt those without a box of a "
                "class, are left out."
            )
        return serialize(self)

    check_and_serialize.names_empty_data = True  # type: ignore[attr-defined]
    BaseDataset._serialize_data = check_and_serialize
