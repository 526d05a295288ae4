"""Parts of docks, and what all docks have in common.

- ``docked``: what stands in a dock of napari's window, and its end
- ``dock``: what every step's dock has: title, state, one button, one line that says how it went
- ``centre_tool``: the beam's centre, found and moved by hand
- ``by_hand``: the image laid onto the pattern by hand
- ``place_field``: a line for a place in an image
- ``particle_tool``: the particle that the pattern is of, typed or pointed at
- ``registration_table``: what the registration found, and other candidates
- ``support_part``: the support's half of the Masks dock
- ``regions_part``: the regions' half of it
- ``model_crystal``: which crystal
- ``model_table``: what its fit found, with errors
- ``model_landscape``: how well reflections fit at every tilt, to click on
- ``model_hand``: tilt and shape set by hand
- ``steering_panel``: what is changed while a run goes on
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "dock": ["StepDock"],
        "docked": ["Docked"],
    },
)
