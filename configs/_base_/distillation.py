"""Distillation of a student that keeps a training recipe of its own, by TBD unless told otherwise.

A config lists this file beside the recipe, any full config of MMDetection, and refers to
``{{_base_.distillation.hooks}}`` and ``{{_base_.distillation.terms}}``; MMEngine lets no two bases
of a config share a key, so neither can be set here.
"""

_base_ = "tbd_terms.py"

custom_imports = dict(imports=["tbd"])
distillation = dict(
    hooks=dict(checkpoint=dict(max_keep_ckpts=3)),
)
