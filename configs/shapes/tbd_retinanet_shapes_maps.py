"""TBD on shapes with pictures: twice an epoch, what harmony distillation sees on two images.

Needs the teacher's checkpoint: see tbd_retinanet_shapes.py. Pictures lie in vis_data/ of the run.
"""

_base_ = "tbd_retinanet_shapes.py"

custom_hooks = [dict(type="tbd.HarmonyVisualizationHook", interval=19, images=[0, 6])]
