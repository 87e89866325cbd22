"""Work that overlaps with what follows it, on devices that have streams."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


class SideStream:
    """A CUDA stream of its own; on other devices, and switched off, work runs in its turn.

    Memory needs no bookkeeping beyond the two waits: what the side stream made is
    reused by itself alone, and not before it has waited for the main stream.

    Args:
        enabled: Whether to use a stream where there are streams.
    """

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._stream: torch.cuda.Stream | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "SideStream":
        return SideStream(self._enabled)

    def run(self, work: Callable[[], Result], device: torch.device) -> Result:
        """Start work after all that the device was given so far, without waiting for it."""
        if not self._enabled or device.type != "cuda":
            return work()
        if self._stream is None or self._stream.device != device:
            self._stream = torch.cuda.Stream(device)
        self._stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(self._stream):
            return work()

    def join(self) -> None:
        """Let what follows on the current stream see what the work made."""
        if self._stream is not None:
            torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)
