"""From two raw records to one centred pattern.

- ``detector``: counts to electrons with their variance, and which pixels can be trusted
- ``unmeasured``: pixels that hold NaN, −1, the largest integer or another value for "not measured"
- ``blemishes``: hot and dead pixels, holes, ceilings smeared by a gain reference, bad lines, zingers
- ``photon_transfer``: the gain by the noise, and whether the values are linear in electrons
- ``calibration``: the pattern's pixel, from the camera length or from known spacings
- ``centring``: the beam, from the halo roughly and from pairs of spots to a few hundredths of a pixel
- ``beam_search``: the places anywhere in the frame about which its spots pair, and how surely
- ``beam_stop``: the shade of a beam stop that no mask tells, with its arm and penumbra
- ``friedel``: how well the pattern agrees with itself turned by 180° about a centre set by hand
- ``background``: a second record registered to the pattern and subtracted
- ``smooth_background``: smooth rings fitted to the pattern where there is no second record
- ``distortion``: ellipse and unequal pixels as a 2 × 2 matrix, and their errors
- ``rings``: the ellipse by spots that lie on rings
- ``embedding``: the record centred and binned in its array; what lies between its spots filtered
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "background": ["align_background", "register_background", "subtract_background"],
        "beam_search": ["BeamCandidate"],
        "beam_stop": ["find_beam_stop"],
        "calibration": ["ReciprocalPixel", "q_pixel_from_camera_length", "q_pixel_from_spacings"],
        "centring": ["BeamCentre", "find_beam_centre"],
        "detector": ["Detector", "Record", "calibrate"],
        "distortion": ["Distortion", "MeasuredEllipse"],
        "embedding": ["Pattern", "embed", "filter_autocorrelation"],
        "friedel": ["FriedelCheck"],
        "rings": ["ellipse_of_rings"],
        "smooth_background": ["fit_smooth_background", "subtract_smooth_background"],
    },
)
