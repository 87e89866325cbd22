"""Scikit-learn's handwritten digits at 28×28 pixels: 1,438 + 359 images, no download."""

train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="tbd.DigitsDataset", split="train"),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="tbd.DigitsDataset", split="val"),
)
test_dataloader = val_dataloader
