"""A fully connected autoencoder with a code of three numbers on MNIST.

Needs MNIST in torchvision's layout in data/mnist, or in mnist/ under TBD_DATA.
"""

_base_ = ["../_base_/datasets/mnist.py", "../_base_/generative/autoencoding.py"]

model = dict(type="tbd.AutoEncoder")
