"""What all models on images have in common: a constant learning rate and pictures of their own."""

_base_ = ["../runtime.py"]

default_hooks = dict(
    checkpoint=dict(interval=10),
    visualization=dict(_delete_=True, type="tbd.GenerativeVisualizationHook"),
)
visualizer = dict(_delete_=True, type="Visualizer", vis_backends=[dict(type="LocalVisBackend")])

val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
