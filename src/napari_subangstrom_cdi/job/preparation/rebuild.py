"""The model rebuilt from the image and from reconstructions that it started, as long as the data like it better."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.fit.indexing import turned
from napari_subangstrom_cdi.core.fit.lattice_shift import LatticeShift, lattice_shift
from napari_subangstrom_cdi.core.fit.model_fit import Evidence, FittedModel, Held, seen_by_lens
from napari_subangstrom_cdi.core.fit.model_rebuild import placed_by_image, rebuilt, reshaped
from napari_subangstrom_cdi.core.phasing.retrieval import Problem, retrieve
from napari_subangstrom_cdi.core.phasing.schedule import model_schedule
from napari_subangstrom_cdi.errors import InputError

from .clock import Clock

FRINGES_TO = 1.28  # Å⁻¹
_FORBIDDEN = 0.01  # of the strongest: surfaces make such reflections, and they do not have the lattice's periods
_LOWER, _MOST_REBUILT = 0.97, 4
_LEAST_FRINGES = 4


@dataclass(frozen=True)
class Rebuilding:
    """What a model is rebuilt by.

    Parameters
    ----------
    problem : Problem
        Phased from each model in turn.
    evidence : Evidence
        Pattern and image, against which each is judged.
    energy_ev : float
        Of the beam.
    held : Held
        What was set by hand.
    clock : Clock
        Told of the parts; whoever hears may raise to end it.
    """

    problem: Problem
    evidence: Evidence
    energy_ev: float
    held: Held
    clock: Clock

    def models_from(self, first: FittedModel) -> tuple[list[FittedModel], LatticeShift | None]:
        """Every model in turn, the best last, and how the data's lattice lies against that one.

        The image goes first: a shift of one grain by half a lattice vector has the lattice placed between both, and
        no reconstruction finds out of that. The lattice is None where those of data and model cannot be compared.
        """
        models = [first]
        by_image = self._by_image(first)
        if by_image is not None and _is_lower(by_image, first):
            models.append(by_image)
        shift, trial = self._by_data(models[-1])
        while _is_lower(trial, models[-1]) and len(models) <= _MOST_REBUILT:
            models.append(trial)
            shift, trial = self._by_data(trial)
        return models, shift

    def _by_image(self, model: FittedModel) -> FittedModel | None:
        """With its grains where the image has them; None where the image has too few fringes to tell."""
        evidence = self.evidence
        if evidence.contrast is None or evidence.conditions is None:
            return None
        self.clock.on_step("model: rebuilding, by the image")
        g = self._reflections_to(model, evidence.conditions.information_limit_per_angstrom)
        if len(g) < _LEAST_FRINGES:
            return None
        seen = evidence.contrast.astype(np.complex64)
        expected = seen_by_lens(model.atoms, evidence, self.energy_ev).astype(np.complex64)
        try:
            shift = lattice_shift(seen, expected, evidence.grid, evidence.support, g)
        except InputError:
            return None
        return rebuilt(model, replace(shift, strain=(0.0, 0.0, 0.0)), evidence, energy_ev=self.energy_ev)

    def _by_data(self, model: FittedModel) -> tuple[LatticeShift | None, FittedModel]:
        """How the lattice lies in what the data make of a model, and the model with that lattice and a shape to it."""
        shift = self._shift_in_data(model)
        if shift is not None:
            model = self._placed(rebuilt(model, shift, self.evidence, energy_ev=self.energy_ev))
        model = reshaped(model, self.evidence, energy_ev=self.energy_ev, held=self.held, heartbeat=self._say_by_data)
        return shift, model

    def _shift_in_data(self, model: FittedModel) -> LatticeShift | None:
        problem = self.problem
        estimate = retrieve(problem, model_schedule(), model.object_field, heartbeat=self._say_by_data).estimate
        g = self._reflections_to(model, FRINGES_TO)
        try:
            return lattice_shift(estimate, model.object_field, problem.grid, problem.support, g)
        except InputError:  # too small a particle, or too few reflections
            return None

    def _placed(self, model: FittedModel) -> FittedModel:
        """The model where the image has it: a reconstruction that the image did not hold may have drifted."""
        evidence = self.evidence
        if evidence.contrast is None or evidence.conditions is None:
            return model
        g = self._reflections_to(model, evidence.conditions.information_limit_per_angstrom)
        return placed_by_image(model, g, evidence, energy_ev=self.energy_ev) if len(g) else model

    def _reflections_to(self, model: FittedModel, q_per_angstrom: float) -> NDArray[np.float64]:
        """Reflections (k, 2) that the model's crystal has, as it stands."""
        cell, fit = model.particle.crystal, model.fit
        reach = min(q_per_angstrom, FRINGES_TO)
        beams = ZoneBeams(cell, fit.zone, energy_ev=self.energy_ev, q_max_per_angstrom=reach)
        strength = np.abs(beams.potential_volt)
        return turned(beams.g_per_angstrom[strength > _FORBIDDEN * strength.max()], fit.match.azimuth_deg)

    def _say_by_data(self) -> None:
        self.clock.on_step("model: rebuilding, by the data")


def _is_lower(model: FittedModel, other: FittedModel) -> bool:
    """Whether R before phasing is so much lower that a model is taken instead of the other."""
    return model.r_pattern < _LOWER * other.r_pattern
