"""Whether a teacher and a student can be distilled: a trial in seconds."""
