"""A least-squares GAN of fully connected networks on scikit-learn's digits.

Needs scikit-learn: pip install scikit-learn.
Needs also the classifier that judges the images, of configs/generative/classifier_digits.py.
"""

_base_ = ["../_base_/datasets/digits.py", "../_base_/generative/adversarial.py"]

model = dict(
    type="tbd.GenerativeAdversarialNetwork",
    loss="lsgan",
    # Without it all generated images become one, and the discriminator wins for good.
    generator=dict(batch_norm=True),
)

train_cfg = dict(max_epochs=300, val_interval=50)

val_evaluator = [
    dict(type="tbd.GenerationMetric", classifier_ckpt="work_dirs/classifier_digits/epoch_10.pth")
]
test_evaluator = val_evaluator
