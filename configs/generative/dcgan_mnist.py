"""A deep convolutional GAN on MNIST.

Needs MNIST in torchvision's layout in data/mnist, or in mnist/ under TBD_DATA.
Needs also the classifier that judges the images, of configs/generative/classifier_mnist.py.
"""

_base_ = ["../_base_/datasets/mnist.py", "../_base_/generative/adversarial.py"]

model = dict(
    type="tbd.GenerativeAdversarialNetwork",
    generator=dict(type="tbd.ConvGenerator"),
    discriminator=dict(type="tbd.ConvDiscriminator"),
)

train_cfg = dict(max_epochs=10, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2))

val_evaluator = [
    dict(type="tbd.GenerationMetric", classifier_ckpt="work_dirs/classifier_mnist/epoch_10.pth")
]
test_evaluator = val_evaluator
