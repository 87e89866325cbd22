"""A convolutional autoencoder with a code of 8×4×4 numbers on scikit-learn's digits.

Needs scikit-learn: pip install scikit-learn.
"""

_base_ = ["../_base_/datasets/digits.py", "../_base_/generative/autoencoding.py"]

model = dict(type="tbd.ConvAutoEncoder")
train_cfg = dict(max_epochs=200, val_interval=50)
