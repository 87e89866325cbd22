"""A variational autoencoder with a code of 20 numbers on MNIST.

Needs MNIST in torchvision's layout in data/mnist, or in mnist/ under TBD_DATA.
"""

_base_ = ["../_base_/datasets/mnist.py", "../_base_/generative/autoencoding.py"]

# For values in −1…1 what ½ is for values in 0…1.
model = dict(type="tbd.VariationalAutoEncoder", decoder_variance=2.0)
