"""The command line.

- ``main``: the parser and the commands reconstruct, demo, analyse, bench and gui
- ``inspect``: the command inspect: what files say of the records in them
- ``calibrate``: the command calibrate: pixel and ellipse by the rings of a standard
- ``simulate``: the commands simulate and score
- ``bench``: an iteration against the fastest FFT pair of the same process
- ``bench_hand``: what follows the hand in the window, such as a slider's correlation, against the same
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "bench": ["format_bench", "run_bench"],
    },
)
