"""A step does not wait for the teacher."""

import pytest
import tiny
import torch
from device_waits import DeviceWaits
from executed import assert_equal_losses, build, losses

from tbd.detectors.execution.side_stream import SideStream
from tbd.distill import GroundTruth

on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


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


@on_cuda
def test_a_teacher_in_a_cuda_stream_teaches_the_same():
    model, plain = (build(teacher_execution=dict(stream=stream)).cuda() for stream in (True, False))
    for _ in range(3):
        assert_equal_losses(model, plain)


@on_cuda
def test_a_prepared_teacher_does_not_synchronise_on_cuda():
    model = build(teacher_execution=dict(stream=True)).cuda()
    losses(model)
    data = tiny.batch(model)
    gt = GroundTruth.of(data["inputs"], data["data_samples"])
    torch.cuda.set_sync_debug_mode("error")
    try:
        model._teacher(data["inputs"], data["data_samples"], gt)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    model._teacher.join()
