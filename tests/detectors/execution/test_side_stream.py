"""A step does not wait for the teacher."""

import tiny
import torch
from device_waits import DeviceWaits
from executed import assert_equal_losses, build

from tbd.detectors.execution.side_stream import SideStream
from tbd.distill import GroundTruth


def test_without_a_device_of_streams_work_runs_in_its_turn():
    stream = SideStream(True)
    assert stream.run(lambda: 3, torch.device("cpu")) == 3
    stream.join()
    assert_equal_losses(build(teacher_execution=dict(stream=True)), build())


def test_a_step_does_not_wait_for_the_teachers_device():
    options = dict(student=tiny.retinanet(), teacher=tiny.retinanet(8, 16))
    model = build(**options).to("meta")
    data = tiny.batch(build(**options))
    inputs = data["inputs"].to("meta")
    samples = [sample.to("meta") for sample in data["data_samples"]]
    with DeviceWaits() as waits:
        gt = GroundTruth.of(inputs, samples)
        view = model._teacher(inputs, samples, gt)
    assert view.predictions.boxes[0].device.type == "meta"
    assert waits.copies == []
