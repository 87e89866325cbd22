"""MNIST's 10,000 test images, split 9,000 + 1,000; every tenth is for validation.

Looks for the set, in torchvision's layout, in mnist/ under the folder that the environment variable
TBD_DATA names (data/ without it).
"""

data_root = "{{$TBD_DATA:data}}/mnist/"

train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="tbd.MNISTDataset", data_root=data_root, split="train"),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="tbd.MNISTDataset", data_root=data_root, split="val"),
)
test_dataloader = val_dataloader
