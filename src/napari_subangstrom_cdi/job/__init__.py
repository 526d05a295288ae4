"""A job without a window: its plan, preparation, run, judgement and page."""
