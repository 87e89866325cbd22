"""A variational autoencoder with a code of 20 numbers on scikit-learn's digits.

Needs scikit-learn: pip install scikit-learn.
"""

_base_ = ["../_base_/datasets/digits.py", "../_base_/generative/autoencoding.py"]

# For values in −1…1 what ½ is for values in 0…1.
model = dict(type="tbd.VariationalAutoEncoder", decoder_variance=2.0)
train_cfg = dict(max_epochs=200, val_interval=50)
