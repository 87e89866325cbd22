"""A generative adversarial network of fully connected networks on scikit-learn's digits.

Needs scikit-learn: pip install scikit-learn.
Needs also the classifier that judges the images, of configs/generative/classifier_digits.py.
"""

_base_ = ["../_base_/datasets/digits.py", "../_base_/generative/adversarial.py"]

model = dict(type="tbd.GenerativeAdversarialNetwork")

train_cfg = dict(max_epochs=300, val_interval=50)

val_evaluator = [
    dict(type="tbd.GenerationMetric", classifier_ckpt="work_dirs/classifier_digits/epoch_10.pth")
]
test_evaluator = val_evaluator
