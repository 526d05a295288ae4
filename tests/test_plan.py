"""The plan and its recipe: what is written is what is read, and a slip is named."""

import tomllib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings
from napari_subangstrom_cdi.core.phasing.constraints import CONSTRAINTS
from napari_subangstrom_cdi.core.phasing.schedule import Stage, extend_schedule, paper_schedule
from napari_subangstrom_cdi.core.phasing.updates import UPDATES
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.io.mask_text import PackedMask
from napari_subangstrom_cdi.job.plan import (
    PRESETS,
    Change,
    ImageSettings,
    Inputs,
    PatternSettings,
    Plan,
    RegionSettings,
    RetrievalSettings,
    SupportSettings,
    named_files,
    plan_from_toml,
    preset_plan,
    read_recipe,
)
from objects import constraints_of

# lone surrogates are no text; everything else must survive, quotes and line breaks as well
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PATHS = (
    st.sampled_from(["a b.tif", "/data/Ångström/κ.mrc", 'odd "name".tif', r"C:\new\table.tif", "line\nbreak\t"]) | TEXT
)
FRAMES = st.none() | st.integers(0, 99) | st.just("sum")
POSITIVE = st.floats(1e-3, 1e3)
UNIT = st.floats(0, 1)


@st.composite
def stages(draw):
    update = draw(st.sampled_from(UPDATES.names()))
    allowed = [name for name in CONSTRAINTS.names() if name != "support" and (update == "er" or name != "flip")]
    names = draw(st.lists(st.sampled_from(allowed), unique=True))
    return Stage(
        draw(TEXT),
        draw(st.integers(0, 999)),
        update,
        constraints_of((*names, "support"), draw(UNIT), draw(st.floats(-2, 2))),
        draw(st.floats(0.01, 1)),
        draw(st.none() | st.tuples(POSITIVE, POSITIVE)),
    )


ACQUISITIONS = st.builds(
    Acquisition,
    energy_ev=st.none() | st.sampled_from([80e3, 200e3, 300e3]),
    counts_per_electron=st.none() | st.floats(0.1, 10),
    image_pixel_angstrom=st.none() | st.floats(0.1, 1),
    defocus_nm=st.none() | st.floats(-200, -10),
    image_to_pattern_rotation_deg=st.none() | st.floats(-180, 180),
    beam_centre_px=st.none() | st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    note=TEXT,
)
OPTIONAL = st.none() | PATHS
PLANS = st.builds(
    Plan,
    st.builds(Inputs, PATHS, PATHS, OPTIONAL, OPTIONAL, OPTIONAL, FRAMES, FRAMES, FRAMES),
    ACQUISITIONS,
    st.builds(PatternSettings, st.none() | st.integers(1, 8), st.none() | st.just(512), st.booleans()),
    st.builds(ImageSettings, st.sampled_from(["wiener", "weak-phase"]), st.sampled_from([True, False, None])),
    st.builds(
        SupportSettings, st.sampled_from(["otsu", "li", "triangle"]) | st.floats(0.001, 0.999), POSITIVE, POSITIVE
    ),
    st.builds(RegionSettings, POSITIVE, UNIT, st.sampled_from(["methods", "upper-limit"]), UNIT),
    st.builds(RetrievalSettings, st.sampled_from(PRESETS), st.lists(stages(), max_size=3).map(tuple)),
    st.builds(EnsembleSettings, st.integers(1, 99), st.integers(0, 2**31), UNIT, UNIT, st.floats(0, 0.49), UNIT),
)


@settings(max_examples=100, deadline=None)
@given(PLANS)
def test_a_recipe_holds_the_whole_plan(plan):
    assert plan_from_toml(plan.to_toml(), where="recipe") == plan


@pytest.mark.parametrize("preset", PRESETS)
def test_the_presets_survive_with_their_schedules_written_out(preset):
    plan = preset_plan(preset, Inputs("p.tif"), Acquisition(energy_ev=200e3), EnsembleSettings(members=3))
    schedule = paper_schedule() if preset == "paper" else extend_schedule(0.5, 1.28)
    plan = replace(plan, retrieval=RetrievalSettings(preset, schedule))
    assert plan_from_toml(plan.to_toml(), where="recipe") == plan


def test_the_paper_preset_follows_the_methods():
    ensemble = EnsembleSettings(members=7, seed=5, free_fraction=0.03)
    plan = preset_plan("paper", Inputs("p.tif"), Acquisition(), ensemble)
    assert plan.image.potential == "weak-phase"
    assert (plan.regions.alpha, plan.regions.noise_multiple, plan.regions.reading) == (0.3, 3.0, "methods")
    assert not plan.pattern.remove_noise_between_spots
    assert (plan.ensemble.members, plan.ensemble.seed, plan.ensemble.free_fraction) == (7, 5, 0.03)
    assert (plan.ensemble.spread, plan.ensemble.reject_below) == (0, 0)
    assert plan.retrieval.preset == "paper"


def test_the_extend_preset_takes_what_it_is_given():
    ensemble, acquisition, inputs = EnsembleSettings(members=4), Acquisition(note="x"), Inputs("p.tif", image="i.mrc")
    plan = preset_plan("extend", inputs, acquisition, ensemble)
    assert (plan.inputs, plan.acquisition, plan.ensemble) == (inputs, acquisition, ensemble)
    assert plan == Plan(inputs, acquisition, ensemble=ensemble)


def test_an_unknown_preset_is_refused_wherever_it_is_named():
    with pytest.raises(InputError, match=r"'extent'.*extend, paper"):
        preset_plan("extent", Inputs("p.tif"), Acquisition(), EnsembleSettings())
    with pytest.raises(InputError, match=r"r\.toml: retrieval: .*'extent'"):
        plan_from_toml('[inputs]\npattern = "p"\n[retrieval]\npreset = "extent"', where="r.toml")


def test_a_recipe_of_one_line_gets_the_defaults():
    assert plan_from_toml('inputs.pattern = "p.tif"', where="recipe") == Plan(Inputs("p.tif"))


def test_a_recipe_is_toml_that_a_person_can_read():
    plan = Plan(Inputs("p.tif", image="i.mrc"), Acquisition(energy_ev=200e3), image=ImageSettings(mirrored=None))
    table = tomllib.loads(plan.to_toml())
    assert table["inputs"] == {"pattern": "p.tif", "background": "fit", "image": "i.mrc"}
    assert table["image"]["mirrored"] == "unknown"
    assert list(table["acquisition"].values()) == [200e3]


MINIMAL = '[inputs]\npattern = "p.tif"\n'
STEERED = "[[steering]]\nmember = 0\niteration = 0\n"
STAGE = '[[retrieval.schedule]]\nname = "s"\niterations = 3\n'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "inputs: field required"),
        ("inputs = 3", "inputs: "),
        ("[inputs]\npattern = 3", "inputs.pattern: "),
        ('[inputs]\npatern = "p"', "inputs.pat"),
        (MINIMAL + "[ensembles]\nmembers = 3", "ensembles: "),
        (MINIMAL + "[ensemble]\nmember = 3", "ensemble.member: "),
        (MINIMAL + '[ensemble]\nmembers = "many"', "ensemble.members: "),
        (MINIMAL + "[ensemble]\nmembers = 2.5", "ensemble.members: "),
        (MINIMAL + "[ensemble]\nmembers = 0", r"my\.toml: ensemble\.members: Members = 0; give 1 or more$"),
        (MINIMAL + "[regions]\nalpha = 7", r"my\.toml: regions\.alpha: α = 7; give 0 to 1$"),
        (MINIMAL + "[regions]\nnoise_multiple = 0", r"regions\.noise_multiple: .* = 0 σ; give above 0"),
        (MINIMAL + "[support]\nsmooth_angstrom = -1", r"support\.smooth_angstrom: .* = -1 Å; give 0 to 1000 Å$"),
        (MINIMAL + "[support]\nthreshold = 1.5", r"support\.threshold: Threshold = 1\.5; give above 0 and below 1$"),
        (MINIMAL + STEERED + "alpha = 1.5", r"my\.toml: steering\.0\.alpha: α = 1\.5; give 0 to 1$"),
        (MINIMAL + "[pattern]\nknown_spacings = [[0, 2]]", r"pattern\.known_spacings: 0:2 is impossible"),
        (MINIMAL + "[pattern]\narray_size = 333", r"pattern\.array_size: an array of 333 pixels; give an even number$"),
        (MINIMAL + '[image]\npotential = "winer"', "image.potential: .*'wiener' or 'weak-phase'"),
        (MINIMAL + "[regions]\nthreshold = 3", "regions.threshold: "),
        (MINIMAL + '[support]\nthreshold = "high"', "support.threshold: .*'otsu'"),
        (MINIMAL + "[pattern]\nbinning = [2]", "pattern.binning: "),
        (MINIMAL + STAGE + "weight = 1", r"retrieval\.schedule\.0\.weight: "),
        (MINIMAL + STAGE + 'update = "hoi"', r"retrieval\.schedule\.0: stage 's': unknown update 'hoi'"),
        (MINIMAL + STAGE + 'constraints = ["real"]', r"retrieval\.schedule\.0: stage 's': no support"),
        (MINIMAL + STAGE + "q_limits_per_angstrom = [0.5]", r"retrieval\.schedule\.0\.q_limits_per_angstrom"),
        (MINIMAL + "acquisition = 3", "acquisition"),
        ("acquisition = 3\n" + MINIMAL, "acquisition: "),
        (MINIMAL + '[acquisition]\ndefocus_nm = "far"', "defocus_nm"),
        ("[inputs\npattern = 3", "no valid TOML"),
    ],
)
def test_a_slip_is_named_with_its_place(text, found):
    with pytest.raises(InputError, match=found) as refused:
        plan_from_toml(text, where="my.toml")
    assert str(refused.value).startswith("my.toml: ")


def test_a_recipe_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"missing\.toml"):
        read_recipe(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\x89\xfe\x00")
    with pytest.raises(InputError, match="text recipe"):
        read_recipe(tmp_path / "binary.toml")
    with pytest.raises(InputError, match="text recipe"):
        read_recipe(tmp_path)
    path = tmp_path / "good.toml"
    path.write_text(Plan(Inputs("Å.tif")).to_toml(), encoding="utf-8")
    assert read_recipe(path).inputs.pattern == "Å.tif"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-16")
    assert read_recipe(path).inputs.pattern == "Å.tif"


def test_files_are_told_from_words_and_names():
    inputs = Inputs("p.tif", "fit", "i.mrc", crystal="CdS-wurtzite")
    assert named_files(inputs) == {"pattern": "p.tif", "image": "i.mrc"}
    inputs = Inputs("p.tif", "b.tif", crystal="sub/CdS.CIF")
    assert named_files(inputs) == {"pattern": "p.tif", "background": "b.tif", "crystal": "sub/CdS.CIF"}


def test_masks_given_as_text_know_their_pixels():
    text = str(PackedMask.of(np.eye(8, dtype=bool)))
    for said, names in (
        (PatternSettings(stop_added=text, stop_removed=text), ("stop_added", "stop_removed")),
        (SupportSettings(added=text, removed=text), ("added", "removed")),
        (RegionSettings(excluded=text), ("excluded",)),
        (Change(0, 0, support=text, excluded=""), ("support", "excluded")),
    ):
        for name in names:
            assert isinstance(getattr(said, name), PackedMask)
    np.testing.assert_array_equal(SupportSettings(added=text).added.pixels(where="here"), np.eye(8, dtype=bool))
