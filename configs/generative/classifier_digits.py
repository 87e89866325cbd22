"""The classifier that judges generated images, on scikit-learn's digits.

Needs scikit-learn: pip install scikit-learn.
"""

_base_ = ["../_base_/datasets/digits.py", "../_base_/generative/runtime.py"]

model = dict(type="tbd.ImageClassifier")
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=10, val_interval=5)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-3))

val_evaluator = [dict(type="tbd.ClassificationMetric")]
test_evaluator = val_evaluator
