"""What computed a run: on another processor the same run rounds otherwise."""

import platform
from pathlib import Path

import torch

_CPU_INFO = Path("/proc/cpuinfo")
_FIELDS = ("cpu family", "model", "stepping")


def processor() -> str:
    """Name of the GPU, or of the CPU and the instructions that PyTorch's kernels use on it.

    Virtual machines often shorten a CPU's name, so on Linux its family, model and stepping are
    given as well.
    """
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    if _CPU_INFO.is_file():
        first = _CPU_INFO.read_text().partition("\n\n")[0]
        rows = dict(line.partition(":")[::2] for line in first.splitlines())
        found = {key.strip(): value.strip() for key, value in rows.items()}
        numbers = [f"{field} {found[field]}" for field in _FIELDS if field in found]
        name = ", ".join([found.get("model name", name), *numbers])
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
