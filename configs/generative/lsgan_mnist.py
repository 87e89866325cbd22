"""A least-squares GAN of fully connected networks on MNIST.

Needs MNIST in torchvision's layout in data/mnist, or in mnist/ under TBD_DATA.
Needs also the classifier that judges the images, of configs/generative/classifier_mnist.py.
"""

_base_ = ["../_base_/datasets/mnist.py", "../_base_/generative/adversarial.py"]

model = dict(
    type="tbd.GenerativeAdversarialNetwork",
    loss="lsgan",
    # Without it all generated images become one, and the discriminator wins for good.
    generator=dict(batch_norm=True),
)

val_evaluator = [
    dict(type="tbd.GenerationMetric", classifier_ckpt="work_dirs/classifier_mnist/epoch_10.pth")
]
test_evaluator = val_evaluator
