import tbd  # noqa: F401  its compatibility layer must be there before any test imports mmdet
