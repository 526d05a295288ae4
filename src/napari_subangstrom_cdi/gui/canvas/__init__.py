"""The two canvases and their layers.

- ``real_view``: image, potential, support and the object as it forms, in napari's main canvas
- ``reciprocal_view``: pattern, regions and spots in a canvas of its own, in Å⁻¹
- ``colours``: a complex field as colours: hue for the phase, brightness for the amplitude
- ``shortcuts``: keys on both canvases, and a list of them
- ``gl_guard``: layers freed in the OpenGL context that drew them
- ``_layers``: layers found by a tag and updated in place
- ``_reciprocal_layers``: those of the second canvas
- ``_mask_layer``: a mask that is painted
- ``_contrast``: contrast limits that do not flicker
- ``_drags``: dragging the centre, turning and scaling the image's spectrum, pointing at a place
- ``_canvas_bar``: the slim bar of tools above the second canvas
- ``_q_scale_bar``: a scale bar in Å⁻¹
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "colours": ["hsv_composite"],
        "gl_guard": ["RemovalGuard"],
        "real_view": ["RealView"],
        "reciprocal_view": ["ReciprocalView"],
    },
)
