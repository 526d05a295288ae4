"""From what the session computed to what both canvases show."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.comparison import LiveComparison
from napari_subangstrom_cdi.core.image.geometry import ImageRegistration
from napari_subangstrom_cdi.core.image.normalisation import NormalisedImage
from napari_subangstrom_cdi.core.types import Bool
from napari_subangstrom_cdi.gui.canvas._layers import TAG
from napari_subangstrom_cdi.gui.canvas.real_view import IMAGE, SUPPORT, RealView, box_of
from napari_subangstrom_cdi.gui.canvas.reciprocal_view import (
    IMAGE_POWER,
    IMAGE_SPOTS,
    MODEL_PATTERN,
    PATTERN,
    PATTERN_SPOTS,
    RECORD,
    REGIONS,
    ReciprocalView,
)
from napari_subangstrom_cdi.io.mask_text import painted_on
from napari_subangstrom_cdi.job.headers import completed
from napari_subangstrom_cdi.job.preparation.record import stop_as_painted
from napari_subangstrom_cdi.session.session import Session, State, Step
from napari_subangstrom_cdi.session.watch import Frame

Pair = tuple[float, float]


class Presenter:
    """Shows each step's output when it is done, and frames while the phases are retrieved.

    Parameters
    ----------
    session : Session
        What was computed.
    real, reciprocal
        The canvases.
    image_is_a_layer : callable
        Whether a layer of the user's is about to be adopted as the image, so that none is made of the file.
    """

    def __init__(
        self,
        session: Session,
        real: RealView,
        reciprocal: ReciprocalView,
        image_is_a_layer: Callable[[], bool] = lambda: False,
    ) -> None:
        self.session = session
        self.real = real
        self.reciprocal = reciprocal
        self._power_of: LiveComparison | None = None
        self._image_is_a_layer = image_is_a_layer
        self._preview_support: Bool | None = None
        self._origin_shift_px = (0, 0)
        self._origin_shift_angstrom = np.zeros(2)

    def owns(self, layer: Layer) -> bool:
        """Whether a layer is drawn by the plugin, and is no raw record of the user's."""
        return TAG in layer.metadata and not layer.metadata.get("input")

    def show(self, step: Step) -> None:
        """Show what a step left."""
        {
            Step.DATA: self._show_data,
            Step.BACKGROUND: self._show_background,
            Step.ALIGN: self._show_alignment,
            Step.MASKS: self._show_masks,
            Step.MODEL: self._show_model,
            Step.PHASE: self.show_result,
        }[step]()

    def begin_anew(self) -> None:
        """Another job begins: what the last one showed is out of sight until there is something new."""
        self._power_of = self._preview_support = None
        self._origin_shift_px, self._origin_shift_angstrom = (0, 0), np.zeros(2)
        self.real.begin_anew()
        self.reciprocal.begin_anew()

    def show_loaded(self) -> None:
        """Show the result of a project that was just opened."""
        if self.session.result is not None:
            self.show_result()

    # Raw records

    @property
    def raw_centre_px(self) -> Pair:
        """Beam in the raw record: as set by hand, as found, or the record's middle."""
        loaded, centred = self.session.loaded, self.session.centred
        if loaded is None:
            return (0.0, 0.0)
        middle = [size // 2 for size in loaded.records.particle.shape]
        told = self.session.plan.pattern.beam_centre_px
        if told is not None:
            return (middle[0] + told[0], middle[1] + told[1])
        if centred is not None:
            return centred.record.centre_px
        hint = self.session.plan.acquisition.beam_centre_px or (0.0, 0.0)
        return (middle[0] + hint[0], middle[1] + hint[1])

    def show_record(self) -> None:
        """Show the raw record about its beam."""
        loaded = self.session.loaded
        if loaded is not None:
            self.reciprocal.show_record(
                loaded.records.particle.electrons,
                centre_px=self.raw_centre_px,
                q_pixel_per_angstrom=loaded.calibration.q_pixel_per_angstrom,
            )

    def _show_data(self) -> None:
        """The record; and the image, unless a layer of the user's is about to be adopted as it."""
        self.show_record()
        loaded = self.session.loaded
        pixel = completed(self.session.plan).acquisition.image_pixel_angstrom
        if loaded is not None and loaded.normalised is not None and pixel is not None and not self._image_is_a_layer():
            self.real.show_image(loaded.normalised.intensity, pixel * loaded.normalised.binning)
            self.real.home()
        self.reciprocal.home()

    def adopt_image(self, layer: Layer) -> None:
        """Take a layer of the user's as that of the image, and put it into Å."""
        loaded, pixel = self.session.loaded, completed(self.session.plan).acquisition.image_pixel_angstrom
        if loaded is not None and loaded.normalised is not None and pixel is not None:
            self.real.show_image(loaded.normalised.intensity, pixel, layer=layer)
            self.real.home()

    def _show_background(self) -> None:
        centred = self.session.centred
        if centred is None:
            return
        self.show_record()
        q = centred.grid.q_pixel_per_angstrom / centred.binning
        spots = (centred.record.spots_px - np.asarray(centred.record.centre_px)) @ centred.distortion.matrix.T * q
        self.reciprocal.show_spots(np.concatenate([spots, -spots]), "pattern")
        self.reciprocal.set_visible(PATTERN_SPOTS, False)  # side maxima are among them: for whoever wants to look
        self.reciprocal.show_pattern(centred.pattern.intensity, centred.grid)
        self.reciprocal.show_ellipse(centred.distortion, 0.8 * centred.grid.q_max_per_angstrom)
        self.reciprocal.set_visible(RECORD, False)

        self.show_stop()

    def show_stop(self) -> None:
        """The beam stop as it was found, with what is painted onto it and erased from it now."""
        centred = self.session.centred
        if centred is None:
            return
        found, settings = centred.record.found_stop, self.session.plan.pattern
        shape = centred.record.record.shape
        painted = [mask.pixels(where="pattern") for mask in (settings.stop_added, settings.stop_removed) if mask]
        if any(mask is not None and mask.shape != shape for mask in painted):
            return  # the step says so
        if found is None and not painted:
            self.reciprocal.hide_stop()
            return
        shade = stop_as_painted(settings, found, shape)
        self.reciprocal.show_stop(
            np.zeros(shape, np.bool_) if shade is None else shade,
            centred.distortion,
            centred.record.centre_px,
            centred.grid.q_pixel_per_angstrom / centred.binning,
        )

    # Alignment

    def show_geometry(self, rotation_deg: float, image_pixel_angstrom: float, mirrored: bool) -> None:
        """Lay the image and its spectrum onto the pattern as told."""
        loaded = self.session.loaded
        if loaded is None or loaded.normalised is None:
            return
        matrix = pattern_from_image_px(rotation_deg, image_pixel_angstrom, mirrored)
        chosen = loaded.normalised if self.session.image is None else self.session.image.normalised
        y, x = chosen.centre_px - np.linalg.solve(matrix, self._origin_shift_angstrom)
        shown = chosen.binning if self._image_is_a_layer() else 1  # a layer of the user's has the file's pixels
        half = (shown - 1) / 2
        self.real.place_image(matrix / shown, (float(y) * shown + half, float(x) * shown + half))
        comparison = self.session.comparison
        if comparison is not None:
            geometry = (rotation_deg, image_pixel_angstrom, mirrored)
            self.reciprocal.show_spots(comparison.spots_on_pattern(*geometry), "image")
            self._show_power(comparison, geometry)

    def _show_power(self, comparison: LiveComparison, geometry: tuple[float, float, bool]) -> None:
        """Only moved if it is shown already: that is cheap."""
        display = comparison.power_display
        linear = display.affine(*geometry)[:2, :2] / display.step_cycles_per_px
        if self._power_of is comparison and self.reciprocal.layer(IMAGE_POWER) is not None:
            self.reciprocal.place_image_power(linear, display.step_cycles_per_px)
        else:
            self.reciprocal.show_image_power(display.power, linear, display.step_cycles_per_px)
            self._power_of = comparison

    def _show_alignment(self) -> None:
        image, centred = self.session.image, self.session.centred
        if image is None or centred is None:
            return
        comparison = self.session.comparison
        if comparison is not None:
            self.reciprocal.show_spots(comparison.spots_pattern, "pattern")
            self.reciprocal.set_visible(PATTERN_SPOTS, True)
        found: ImageRegistration = image.registration
        self.show_geometry(found.rotation_deg, found.image_pixel_angstrom, found.mirrored)
        if self.session.state(Step.PHASE) is not State.DONE:  # else that of the result is shown, at its origin
            self.real.show_potential(image.potential, centred.grid)
        self.real.home()

    # Particles

    def show_particles(self, chosen: NormalisedImage | None) -> None:
        """Ring the particles that there are in the image, the chosen one in another colour."""
        loaded = self.session.loaded
        if loaded is None or not loaded.particles:
            self.real.hide_particles()
            return
        binning = self._file_pixels_in_one()
        full = loaded.particles[0].binning / binning  # layer pixels in one of the image as it is worked with
        places = np.array([each.centre_px for each in loaded.particles]) * full + (full - 1) / 2
        diameters = np.array([each.diameter_px for each in loaded.particles]) * full
        found = [i for i, each in enumerate(loaded.particles) if each is chosen]
        self.real.show_particles(places, diameters, found[0] if found else None)

    def place_in_file(self, shown_px: Pair) -> Pair:
        """A place in the image's layer in pixels of the file, as a plan names it."""
        binning = self._file_pixels_in_one()
        y, x = (value * binning + (binning - 1) / 2 for value in shown_px)
        return y, x

    def _file_pixels_in_one(self) -> int:
        """How many pixels of the file, a side, one of the image's layer is."""
        loaded, layer = self.session.loaded, self.real.layer(IMAGE)
        if loaded is None or loaded.normalised is None or layer is None:
            return 1
        return loaded.normalised.binning if layer.data.shape == loaded.normalised.intensity.shape else 1

    # Masks

    @property
    def automatic_support(self) -> Bool | None:
        """The support before painting: as previewed, or as the Masks step found it."""
        if self._preview_support is not None:
            return self._preview_support
        prepared = self.session.prepared
        return None if prepared is None else prepared.automatic_support

    def preview_support(self, automatic: Bool, shown: Bool) -> None:
        """Show a support that is being tried: without what was painted, and with it."""
        self._preview_support = automatic
        centred = self.session.centred
        if centred is not None:
            first = self.real.layer(SUPPORT) is None
            self.real.show_support(self.in_shown_frame(shown), centred.grid)
            if first:
                self.real.home()

    def in_shown_frame(self, mask: Bool) -> Bool:
        """A mask of the problem as the canvas shows it, whose origin is the result's once there is one."""
        return np.roll(mask, self._origin_shift_px, (0, 1))

    def in_problem_frame(self, mask: Bool) -> Bool:
        """A mask painted on the canvas, whose origin is the result's once there is one."""
        dy, dx = self._origin_shift_px
        return np.roll(mask, (-dy, -dx), (0, 1))

    def _show_masks(self) -> None:
        prepared = self.session.prepared
        if prepared is None:
            return
        self._preview_support = None
        grid = prepared.problem.grid
        if self.session.state(Step.PHASE) is not State.DONE:  # else those of the result are shown, at its origin
            self._origin_shift_px, self._origin_shift_angstrom = (0, 0), np.zeros(2)
            self.real.show_support(prepared.support.mask, grid)
            self.reciprocal.show_pattern(prepared.pattern.intensity, grid)
            self.reciprocal.show_regions(prepared.problem.regions, grid)
        excluded = painted_on(grid, self.session.plan.regions.excluded, where="regions.excluded")
        self.reciprocal.show_painted(np.zeros(grid.shape, bool) if excluded is None else excluded, grid)
        self.real.home()

    def preview_regions(self, regions: NDArray[np.uint8]) -> None:
        """Show regions that are being tried."""
        prepared = self.session.prepared
        if prepared is not None:
            self.reciprocal.show_regions(regions, prepared.problem.grid)

    # The model

    def _show_model(self) -> None:
        """Its pattern beside the record's, and its object, hidden, beneath the reconstruction."""
        trial, prepared = self.session.model_trial, self.session.prepared
        if trial is None or prepared is None:
            return
        for role in (REGIONS, PATTERN_SPOTS, IMAGE_SPOTS, IMAGE_POWER):  # they would hide what is to be compared
            self.reciprocal.set_visible(role, False)
        self.show_model_pattern(trial.fitted.power, trial.grid)
        self.reciprocal.set_visible(MODEL_PATTERN, True)
        self._show_model_object()

    def _show_model_object(self) -> None:
        model, prepared = self.session.model, self.session.prepared
        if model is not None and prepared is not None and self.session.model_trial is not None:
            y, x = self._origin_shift_angstrom
            grid, support = prepared.problem.grid, prepared.problem.support
            self.real.show_model(model.fitted.object_field, support, grid, (float(y), float(x)))

    def show_model_pattern(self, power: NDArray[np.float32], grid: Grid) -> None:
        """Show a calculated pattern, electrons, beside the record's."""
        self.reciprocal.show_model_pattern(power, grid)

    # The run

    def begin(self, step: Step) -> None:
        """A step begins that another view suits better."""
        if step in (Step.MASKS, Step.PHASE):
            self.reciprocal.set_visible(MODEL_PATTERN, False)
        if step is Step.MASKS:
            self.expect_frames()

    def expect_frames(self) -> None:
        """Make the layers that a run will fill: that takes napari a quarter of a second each, and the run more."""
        if self.session.centred is not None:
            self.real.expect_frames(self.session.centred.grid)
            self.reciprocal.expect_reconstruction_power(self.session.centred.grid)

    def show_frame(self, frame: Frame) -> None:
        """Show the newest estimate and its power spectrum."""
        self.real.show_frame(frame.estimate, frame.box, frame.grid)
        self.reciprocal.show_reconstruction_power(frame.estimate, frame.grid)

    def show_average(self) -> None:
        """Show the running average of the members."""
        live, prepared = self.session.live, self.session.prepared
        if live is not None and live.average is not None and prepared is not None:
            average = live.average
            self.real.show_ensemble(average.mean, average.deviation, average.box, prepared.problem.grid)

    def show_result(self) -> None:
        """Show the averaged object; image and support move with it to its origin."""
        result = self.session.result
        if result is None:
            return
        shift = result.metrics.get("origin_shift_px") or (0.0, 0.0)
        self._origin_shift_px = (round(shift[0]), round(shift[1]))
        self._origin_shift_angstrom = np.array(shift) * result.grid.pixel_angstrom
        if result.potential is not None:
            self.real.show_potential(result.potential, result.grid)
        if self.session.image is not None:
            found = self.session.image.registration
            self.show_geometry(found.rotation_deg, found.image_pixel_angstrom, found.mirrored)
        self.real.show_result(result.object, result.deviation, result.support, result.grid, result.omit_map)
        self._show_model_object()  # at the result's origin
        box = box_of(result.support)
        self.reciprocal.show_reconstruction_power(result.object[box], result.grid, live=False)
        prepared = self.session.prepared
        # what is shown already is not drawn again, which takes long: a result that was steered or loaded differs
        pattern, regions = (None, None) if prepared is None else (prepared.pattern.intensity, prepared.problem.regions)
        if result.pattern is not pattern or self.reciprocal.layer(PATTERN) is None:
            self.reciprocal.show_pattern(result.pattern, result.grid)
        if result.regions is not regions or self.reciprocal.layer(REGIONS) is None:
            self.reciprocal.show_regions(result.regions, result.grid)
        self.real.home()


def pattern_from_image_px(rotation_deg: float, image_pixel_angstrom: float, mirrored: bool) -> NDArray[np.float64]:
    """Å (y, x) in the pattern's frame of image pixels (y, x): r = R(φ) M r_image, with x before y in R."""
    cosine, sine = math.cos(math.radians(rotation_deg)), math.sin(math.radians(rotation_deg))
    sign = -1.0 if mirrored else 1.0
    return image_pixel_angstrom * np.array([[cosine, sign * sine], [-sine, sign * cosine]])
