"""Training of a generative adversarial network: Adam for each of the two networks, 60 epochs."""

_base_ = ["runtime.py"]

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=60, val_interval=10)
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="tbd.SeparateOptimWrapperConstructor",
    optimizer=dict(type="Adam", lr=3e-4, betas=(0.5, 0.999)),
)
model_wrapper_cfg = dict(type="MMSeparateDistributedDataParallel")
