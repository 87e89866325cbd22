"""Questions asked of finished detectors and configs."""
