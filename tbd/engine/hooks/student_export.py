"""Export of the plain student at the end of training."""

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.distributed.fsdp import FullyShardedDataParallel

from tbd.detectors import TeacherStudentDetector
from tbd.engine.export import plain_config, write_student
from tbd.engine.wrappers import unwrap
from tbd.registry import HOOKS


@HOOKS.register_module()
class StudentExportHook(Hook):
    """Write the student as a plain MMDetection checkpoint and config when training ends.

    The weights are those that a checkpoint would hold: averaged ones under EMA.

    Args:
        out_dir: Folder to write to. Default: the work directory.
        filename: Name of both files, without suffix.
    """

    # After every hook that may still change the weights.
    priority = "LOWEST"

    def __init__(self, out_dir: str | None = None, filename: str = "student") -> None:
        self.out_dir = out_dir
        self.filename = filename

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Write the files; a detector that is not distilled is plain already."""
        if isinstance(runner.model, FullyShardedDataParallel):
            # Its weights are spread over the processes; checkpoints hold them whole.
            runner.logger.info(
                "The student is sharded: write it from the last checkpoint with `tbd export`."
            )
            return
        model = unwrap(runner.model)
        if not isinstance(model, TeacherStudentDetector):
            return
        checkpoint = {
            "meta": {
                "epoch": runner.epoch,
                "iter": runner.iter,
                "dataset_meta": getattr(runner.train_dataloader.dataset, "metainfo", None),
            },
            "state_dict": model.state_dict(),
            "message_hub": runner.message_hub.state_dict(),
        }
        # As Runner.save_checkpoint does: EMAHook puts the averaged weights in.
        runner.call_hook("before_save_checkpoint", checkpoint=checkpoint)
        written = write_student(
            checkpoint,
            plain_config(runner.cfg, model.student_config),
            self.out_dir or runner.work_dir,
            self.filename,
        )
        runner.logger.info(written)
