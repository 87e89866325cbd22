import builtins
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from tbd.datasets import DigitsDataset, MNISTDataset
from tbd.registry import DATASETS


def write_mnist(root, count=20, labels=None, prefix="t10k"):
    """A file pair in MNIST's format, whose image i has the value i in its first pixel."""
    folder = Path(root) / "MNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    images = np.zeros((count, 28, 28), dtype=np.uint8)
    images[:, 0, 0] = np.arange(count)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(
        struct.pack(">IIII", 2051, count, 28, 28) + images.tobytes()
    )
    labels = np.arange(count if labels is None else labels, dtype=np.uint8) % 10
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(
        struct.pack(">II", 2049, len(labels)) + labels.tobytes()
    )


def test_digits_have_mnists_format():
    train, val = (DATASETS.build(dict(type="tbd.DigitsDataset", split=s)) for s in ("train", "val"))
    assert (len(train), len(val)) == (1438, 359)
    assert sorted(train.ids + val.ids) == list(range(1797))
    item = val[0]
    assert item["inputs"].shape == (1, 28, 28)
    assert item["inputs"].dtype == torch.uint8
    assert item["data_samples"].img_id == 4
    assert item["data_samples"].label == 4
    assert train.metainfo["classes"] == tuple("0123456789")
    images = torch.cat([train.images, val.images])
    assert images.max() == 255
    # A frame of background, as MNIST has.
    assert not images[:, :, :4].any()
    assert not images[:, :, :, -4:].any()


def test_digits_keep_their_picture():
    from sklearn.datasets import load_digits

    val = DigitsDataset("val", image_size=24)
    small = torch.nn.functional.adaptive_avg_pool2d(val.images[:, :, 4:-4, 4:-4].float(), 8)
    originals = torch.from_numpy(load_digits().images[4::5]).float()[:, None] * 255 / 16
    distances = torch.cdist(small.flatten(1), originals.flatten(1))
    assert torch.equal(distances.argmin(dim=1), torch.arange(len(val)))
    assert val.labels == load_digits().target[4::5].tolist()


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    plain_import = builtins.__import__

    def without_sklearn(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return plain_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_sklearn)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        DigitsDataset("train")


def test_mnist_is_split_by_position(tmp_path):
    write_mnist(tmp_path)
    train, val = (MNISTDataset(str(tmp_path), split) for split in ("train", "val"))
    assert val.ids == [9, 19]
    assert len(train) == 18
    for data in (train, val):
        for item in data:
            number = item["data_samples"].img_id
            assert item["inputs"][0, 0, 0] == number
            assert item["data_samples"].label == number % 10


def test_the_larger_file_can_be_split_too(tmp_path):
    write_mnist(tmp_path, 40, prefix="train")
    assert len(MNISTDataset(str(tmp_path), "val", files="train", val_every=4)) == 10


def test_missing_files_say_where_to_put_them(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"t10k-images-idx3-ubyte.*download=True.*TBD_DATA.*data_root"
    ):
        MNISTDataset(str(tmp_path), "train")


def test_files_that_do_not_belong_together_are_an_error(tmp_path):
    write_mnist(tmp_path, labels=19)
    with pytest.raises(ValueError, match=r"20 images but .* 19 labels"):
        MNISTDataset(str(tmp_path), "train")


def test_settings_out_of_range_are_errors(tmp_path):
    write_mnist(tmp_path)
    with pytest.raises(ValueError, match=r"split='test'"):
        DigitsDataset("test")
    with pytest.raises(ValueError, match=r"dataset\.val_every=1 "):
        DigitsDataset("train", val_every=1)
    with pytest.raises(ValueError, match=r"dataset\.image_size=8"):
        DigitsDataset("train", image_size=8)
    with pytest.raises(ValueError, match=r"files='test'"):
        MNISTDataset(str(tmp_path), "train", files="test")


def test_real_mnist():
    root = Path(os.environ.get("TBD_DATA", "data")) / "mnist"
    if not (root / "MNIST" / "raw" / "t10k-images-idx3-ubyte").is_file():
        pytest.skip(f"MNIST is not in {root}")
    train, val = (MNISTDataset(str(root), split) for split in ("train", "val"))
    assert (len(train), len(val)) == (9000, 1000)
    # The first test images of MNIST are 7, 2, 1, 0, 4.
    assert train.labels[:5] == [7, 2, 1, 0, 4]
    assert np.bincount(val.labels, minlength=10).min() >= 80
