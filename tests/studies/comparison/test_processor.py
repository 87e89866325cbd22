"""What is said of the machine that computed a run."""

import pytest
import torch

from tbd.studies.comparison import processor as module

CPU_INFO = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Some CPU @ 2.00GHz
stepping\t: 8

processor\t: 1
model\t\t: 99
"""


@pytest.fixture
def cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return torch.backends.cpu.get_cpu_capability()


def test_a_cpu_is_told_by_numbers_too_and_by_its_instructions(tmp_path, monkeypatch, cpu):
    monkeypatch.setattr(module, "_CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(CPU_INFO)
    expected = f"Some CPU @ 2.00GHz, cpu family 6, model 143, stepping 8, {cpu}"
    assert module.processor() == expected


def test_a_system_without_that_file_has_a_name_too(tmp_path, monkeypatch, cpu):
    monkeypatch.setattr(module, "_CPU_INFO", tmp_path / "missing")
    assert module.processor().endswith(f", {cpu}")
    assert not module.processor().startswith(",")


def test_a_gpu_is_told_by_its_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert module.processor() == "Some GPU"
