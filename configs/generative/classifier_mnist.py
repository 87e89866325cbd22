"""The classifier that judges generated images, on MNIST.

Needs MNIST in torchvision's layout in data/mnist, or in mnist/ under TBD_DATA.
"""

_base_ = ["../_base_/datasets/mnist.py", "../_base_/generative/runtime.py"]

model = dict(type="tbd.ImageClassifier")
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=10, val_interval=5)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-3))

val_evaluator = [dict(type="tbd.ClassificationMetric")]
test_evaluator = val_evaluator
