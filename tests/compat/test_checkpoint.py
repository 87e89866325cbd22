import os

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.testing import assert_close

from tbd.compat import UnsafeCheckpointError, load_checkpoint

pytestmark = pytest.mark.openmmlab


class _Calls:
    """Pickles as a call, which unpickling would make."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class _OwnClass:
    pass


class _Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, inputs, mode):
        return {"loss": self.layer(inputs).square().mean()}


def _runner(work_dir, epochs, **options):
    return Runner(
        model=_Model(),
        work_dir=str(work_dir),
        train_dataloader={
            "dataset": [{"inputs": torch.full((2,), float(i))} for i in range(4)],
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "batch_size": 2,
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg={"by_epoch": True, "max_epochs": epochs},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
        experiment_name=f"{work_dir.name}_{epochs}",
        **options,
    )


@pytest.fixture(scope="module")
def mmengine_checkpoint(tmp_path_factory):
    """A checkpoint as MMEngine's Runner writes it, log history included."""
    folder = tmp_path_factory.mktemp("run")
    _runner(folder, epochs=1).train()
    return folder / "epoch_1.pth"


def test_mmengine_checkpoint(mmengine_checkpoint):
    checkpoint = load_checkpoint(mmengine_checkpoint)
    assert set(checkpoint["state_dict"]) == {"layer.weight", "layer.bias"}
    assert checkpoint["meta"]["epoch"] == 1
    history = checkpoint["message_hub"]["log_scalars"]["train/loss"]
    assert isinstance(history, HistoryBuffer)
    assert len(history.data[0]) == 2


def test_mmengine_resumes_from_its_checkpoint(mmengine_checkpoint, tmp_path):
    runner = _runner(tmp_path, epochs=2, load_from=str(mmengine_checkpoint), resume=True)
    runner.train()
    assert runner.epoch == 2
    assert len(MessageHub.get_current_instance().get_scalar("train/loss").data[0]) == 4


@pytest.mark.skipif(
    not hasattr(torch.serialization, "safe_globals"),
    reason="needs torch.serialization.safe_globals",
)
def test_loads_after_others_withdrew_the_same_types(mmengine_checkpoint):
    # As OneDL's MMEngine does around each load of its own.
    with torch.serialization.safe_globals([HistoryBuffer, np.ndarray, np.dtype]):
        pass
    load_checkpoint(mmengine_checkpoint)


@pytest.mark.parametrize("zipped", [True, False])
def test_plain_data(tmp_path, zipped):
    checkpoint = {
        "state_dict": {"weight": torch.arange(6.0).view(2, 3)},
        "meta": {
            "CLASSES": ("cat", "dog"),
            "config": "model = dict(type='RetinaNet')\n",
            "palette": [(1, 2, 3)],
            "mean": np.array([1.5, 2.5], dtype=np.float32),
            "names": np.array(["a", "bc"]),
            "best": np.float64(0.5),
            "epoch": np.int64(3),
            "seed": None,
        },
    }
    path = tmp_path / "checkpoint.pth"
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    loaded = load_checkpoint(str(path))
    assert_close(loaded["state_dict"], checkpoint["state_dict"])
    for key, value in checkpoint["meta"].items():
        np.testing.assert_equal(loaded["meta"][key], value)
        assert type(loaded["meta"][key]) is type(value)


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_arrays_of_other_numpy_versions(tmp_path, core):
    path = tmp_path / "checkpoint.pth"
    arrays = {"array": np.arange(3), "scalar": np.float64(2)}
    torch.save(arrays, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes().replace(b"numpy._core", b"numpy.core").replace(b"numpy.core", core)
    assert data.count(core + b".multiarray") == 2
    path.write_bytes(data)
    np.testing.assert_equal(load_checkpoint(path), arrays)


def test_map_location(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "w.pth")
    loaded = load_checkpoint(tmp_path / "w.pth", map_location="meta")
    assert loaded["weight"].device.type == "meta"


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (_Calls(os.mkdir, "executed"), f"{os.name}.mkdir" if os.name == "nt" else "posix.mkdir"),
        (_Calls(eval, "__import__('os').mkdir('executed')"), "eval"),
        (_Calls(getattr, HistoryBuffer, "__init__"), "builtins.getattr"),
        (_OwnClass(), f"{_OwnClass.__module__}._OwnClass"),
    ],
)
def test_refuses_code(tmp_path, monkeypatch, zipped, payload, name):
    monkeypatch.chdir(tmp_path)
    torch.save({"meta": payload}, "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnsafeCheckpointError) as error:
        load_checkpoint("evil.pth")
    message = str(error.value)
    assert name in message
    assert "Only if you trust" in message
    assert 'torch.load("evil.pth", map_location="cpu", weights_only=False)' in message
    assert not os.path.exists("executed")


@pytest.mark.skipif(
    not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"),
    reason="this torch reports the first global only",
)
def test_names_everything_that_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"a": _Calls(eval, "1"), "b": _Calls(os.mkdir, "executed")}, path)
    with pytest.raises(UnsafeCheckpointError, match=r"builtins\.eval, .*\.mkdir"):
        load_checkpoint(path)


def test_the_advice_for_trusted_files_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = {"weight": torch.ones(2)}
    torch.save({"state_dict": weights, "meta": _Calls(dict)}, "own.pth")
    with pytest.raises(UnsafeCheckpointError) as error:
        load_checkpoint("own.pth")
    snippet = [line.strip() for line in str(error.value).splitlines() if line.startswith("    ")]
    exec("\n".join(snippet), {"torch": torch})
    assert_close(load_checkpoint("own_weights.pth"), {"state_dict": weights})


def test_missing_file_names_what_is_near(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "epoch_12.pth").touch()
    with pytest.raises(FileNotFoundError) as error:
        load_checkpoint("epoch_21.pth")
    message = str(error.value)
    assert "'epoch_21.pth'" in message
    assert str(tmp_path / "epoch_21.pth") in message
    assert "epoch_12.pth" in message


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no folder {tmp_path}/work_dir"):
        load_checkpoint(tmp_path / "work_dir" / "last.pth")


def test_folder_instead_of_file(tmp_path):
    (tmp_path / "epoch_1.pth").touch()
    with pytest.raises(FileNotFoundError, match=r"a folder, with epoch_1\.pth"):
        load_checkpoint(tmp_path)


def test_a_trusted_file_may_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"meta": _Calls(os.mkdir, "executed")}, "own.pth")
    torch.save({"meta": _Calls(os.mkdir, "by_another")}, "other.pth")
    monkeypatch.setenv("TBD_TRUSTED_CHECKPOINTS", os.pathsep.join(["/nowhere.pth", "./own.pth"]))
    with pytest.warns(UserWarning, match=r"TBD_TRUSTED_CHECKPOINTS names .*own\.pth"):
        load_checkpoint(tmp_path / "own.pth")
    assert os.path.exists("executed")
    with pytest.raises(UnsafeCheckpointError, match=r"set TBD_TRUSTED_CHECKPOINTS=other\.pth"):
        load_checkpoint("other.pth")
    assert not os.path.exists("by_another")


@pytest.mark.parametrize("content", ["truncated", b"", b"<html>not found</html>", b"\x80\x02"])
def test_damaged_file(tmp_path, content):
    path = tmp_path / "damaged.pth"
    if content == "truncated":
        torch.save({"weight": torch.zeros(1000)}, path)
        content = path.read_bytes()[:-100]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot read .*damaged\.pth"):
        load_checkpoint(path)


def test_not_a_dict(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds a list instead of a dict"):
        load_checkpoint(tmp_path / "list.pth")


def test_other_schemes():
    with pytest.raises(ValueError, match=r"'s3://bucket/a\.pth': only local paths and http"):
        load_checkpoint("s3://bucket/a.pth")
