"""Files in Python's pickle format that MMEngine loads, such as annotations, are read as data."""

import codecs
import collections
import io
import pickle
from typing import IO, Any

import numpy as np
import torch


class DataUnpickler(pickle.Unpickler):
    """Reads plain values, NumPy's arrays and PyTorch's tensors, and runs nothing that a file names.

    Raises:
        ValueError: The file would construct anything else.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Look up what a file names."""
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise ValueError(
                f"refusing to read a pickled file: it would run {module}.{name}. A pickle can run "
                "any code; write the same values as JSON, and set ann_file to that file"
            ) from None


def _storage(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


_ARRAY = np.zeros(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]
# NumPy 2 moved its core, and a file carries the name that its writer used.
_KNOWN: dict[tuple[str, str], Any] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _ARRAY for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
    ("collections", "OrderedDict"): collections.OrderedDict,
    **{("builtins", kind.__name__): kind for kind in (set, frozenset, bytearray, complex)},
    **{("__builtin__", kind.__name__): kind for kind in (set, frozenset, bytearray, complex)},
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch.storage", "_load_from_bytes"): _storage,
}


class _Pickle:
    """``pickle`` with a ``load`` that reads data."""

    def load(self, file: IO[bytes], **options: Any) -> Any:
        return DataUnpickler(file, **options).load()

    def __getattr__(self, name: str) -> Any:
        return getattr(pickle, name)


def read_pickles_as_data() -> None:
    """Let ``mmengine.load`` read pickled files without running what they name.

    What the processes of one run send each other is not read by it, and stays as it is.
    """
    from mmengine.fileio.handlers import pickle_handler

    pickle_handler.pickle = _Pickle()
