"""Training of an autoencoder: Adam, 50 epochs."""

_base_ = ["runtime.py"]

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=50, val_interval=10)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-3))

val_evaluator = [dict(type="tbd.AutoEncodingMetric")]
test_evaluator = val_evaluator
