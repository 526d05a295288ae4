"""Constraints and update rules of one's own: by a decorator, by an entry point, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
import pytest

from napari_subangstrom_cdi.core.phasing.constraints import CONSTRAINTS, Scene, compose, constraint
from napari_subangstrom_cdi.core.phasing.registry import Registry, explained, table_of
from napari_subangstrom_cdi.core.phasing.retrieval import iterate, retrieve
from napari_subangstrom_cdi.core.phasing.schedule import Stage, vary
from napari_subangstrom_cdi.core.phasing.updates import UPDATES, update
from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.job.plan import Inputs, Plan, RetrievalSettings, plan_from_toml
from napari_subangstrom_cdi.parameters import Parameter
from objects import GRID, outline, problem_of, random_particle

SUPPORT = outline()
GROUP = "napari_subangstrom_cdi.constraints"


@pytest.fixture(autouse=True)
def what_was_registered(monkeypatch):
    """What a test registers is forgotten after it."""
    for registry in (CONSTRAINTS, UPDATES):
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))


def new_registry():
    return Registry("constraint", GROUP, ("estimate", "scene"))


def damped():
    @constraint("damp")
    class Damp:
        """Make it weaker.

        Not of any use.
        """

        real_part_alone: ClassVar[bool] = True
        factor: Annotated[float, Parameter("factor", "What is left.", above=0, high=1, varied_by="image")] = 0.5
        how: Annotated[Literal["all", "real"], Parameter("what")] = "all"
        often: Annotated[int, Parameter("times", low=1)] = 1
        gently: Annotated[bool, Parameter("gently")] = False

        def __call__(self, estimate, scene):
            return estimate * np.float32(self.factor**self.often)

    return Damp


def recipe_of(*stages):
    return Plan(Inputs("p.tif"), retrieval=RetrievalSettings("own", stages)).to_toml()


def test_a_class_becomes_a_frozen_dataclass_of_declared_parameters():
    made = damped()(0.25, often=2)
    assert made == CONSTRAINTS.named("damp")(0.25, "all", 2, False) and hash(made) is not None
    assert table_of(made) == {"kind": "damp", "factor": 0.25, "how": "all", "often": 2, "gently": False}
    assert explained(type(made)) == "Make it weaker"
    with pytest.raises(FrozenInstanceError):
        made.factor = 1
    with pytest.raises(InputError, match=r"damp\.factor: factor = 1\.5; give above 0 and at most 1"):
        type(made)(1.5)
    with pytest.raises(InputError, match=r"damp\.how: unknown how 'some'"):
        replace(made, how="some")


def test_a_recipe_names_it_and_repeats_it():
    own = damped()
    stages = (Stage("a", 3, "hio", (own(0.3), "support"), beta=0.6), Stage("b", 2, "er", ("damp", "support")))
    text = recipe_of(*stages)
    assert '{ kind = "damp", factor = 0.3' in text and "test_registry" not in text
    assert plan_from_toml(text, where="recipe").retrieval.schedule == stages
    short = '[inputs]\npattern = "p"\n[[retrieval.schedule]]\nname = "s"\niterations = 3\nconstraints = ["support", %s]'
    read = plan_from_toml(short % '{kind = "damp", factor = 0.7}', where="recipe").retrieval.schedule[0]
    assert read.constraints[1] == own(0.7)
    for said, found in (
        ('{kind = "damp", factor = 7}', r"retrieval\.schedule\.0: stage 's': damp\.factor: factor = 7"),
        ('{kind = "damp", width = 7}', r"unknown parameter 'width' of 'damp'; use factor, how, often, gently"),
        ('{kind = "damp", often = "twice"}', r"damp\.often: 'twice' is no whole number"),
    ):
        with pytest.raises(InputError, match=found):
            plan_from_toml(short % said, where="recipe")


def test_a_name_that_nobody_registered_is_said_with_how_to_get_it():
    text = recipe_of(Stage("tail", 3, "er", (damped()(), "support")))
    del CONSTRAINTS._classes["damp"]
    with pytest.raises(InputError) as refused:
        plan_from_toml(text, where="my.toml")
    said = str(refused.value)
    assert said.startswith("my.toml: retrieval.schedule.0: stage 'tail': unknown constraint 'damp'")
    assert "nobody registered 'damp': install the package that brings it, or first run the script" in said
    with pytest.raises(InputError, match=r"unknown update 'json:loads'.*nobody registered"):
        Stage("s", 1, "json:loads")


def test_a_file_never_names_a_module(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('this code was run')")
    monkeypatch.syspath_prepend(tmp_path)
    for kind in ("trap:Trap", "trap", "trap.Trap"):
        with pytest.raises(InputError, match="unknown constraint"):
            Stage("s", 1, "er", ({"kind": kind}, "support"))
    assert "trap" not in sys.modules


def test_another_class_of_the_same_name_is_refused_and_the_same_class_again_is_not():
    first, second = damped(), damped()  # as when a notebook's cell is run again
    assert CONSTRAINTS.named("damp") is second is not first
    assert Stage("s", 1, "er", (first(), "support")).constraints[0] == first()
    for name in ("damp", "support"):
        with pytest.raises(InputError, match=rf"'{name}' is registered already, by .*; choose another name"):

            @constraint(name)
            class Other:
                def __call__(self, estimate, scene):
                    return estimate

    assert CONSTRAINTS.named("damp") is second


def test_what_cannot_be_a_constraint_is_refused_where_it_is_written():
    class Deaf:
        width: float = 1

    class Narrow:
        def __call__(self, estimate):
            return estimate

    class Undeclared:
        width: float = 1

        def __call__(self, estimate, scene):
            return estimate

    class NoDefault:
        width: Annotated[float, Parameter("width")]
        __call__ = Undeclared.__call__

    class Pair:
        width: Annotated[tuple[float, float], Parameter("width")] = (1, 1)
        __call__ = Undeclared.__call__

    class Varied:
        width: Annotated[float, Parameter("width", varied_by="weather")] = 1
        __call__ = Undeclared.__call__

    @dataclass
    class Loose:
        width: Annotated[float, Parameter("width")] = 1
        __call__ = Undeclared.__call__

    for cls, found in (
        (Deaf, r"define __call__\(self, estimate, scene\)"),
        (Narrow, r"too many positional arguments; define __call__"),
        (Undeclared, r"Undeclared\.width is no parameter; declare it"),
        (NoDefault, "has no default"),
        (Pair, "must be a single number"),
        (Varied, "cannot be varied by 'weather'"),
        (Loose, "frozen=True"),
        (lambda estimate, scene: estimate, "is no class"),
    ):
        with pytest.raises(TypeError, match=found):
            constraint("mine")(cls)
    assert "mine" not in CONSTRAINTS.names()


def test_members_vary_what_the_declaration_says():
    own = damped()
    stage = Stage("s", 1, "er", (own(0.5), {"kind": "low-density", "threshold": 0.4}, "support"))
    (after,) = vary((stage,), 2.0, 1.5)
    assert after.constraints[0] == own(0.75) and after.constraints[1].threshold == 0.8
    assert vary((stage,), 1.0, 9.0)[0].constraints[0] == own(1.0)


def test_it_is_called_with_the_box_and_cannot_change_it():
    seen = []

    @constraint("curious")
    class Curious:
        def __call__(self, estimate, scene):
            seen.append((estimate.dtype, estimate.shape, scene))
            with pytest.raises(ValueError, match="read-only"):
                estimate[0, 0] = 1
            return estimate.astype(np.complex128)

    problem = problem_of(random_particle())
    start = np.where(SUPPORT, problem.image, 0).astype(np.complex64)
    stages = (
        Stage("a", 2, "er", ("curious", "real", "support")),
        Stage("b", 2, "raar", ("real", "support", "curious")),
    )
    plain = tuple(replace(s, constraints=[c for c in s.constraints if c.kind != "curious"]) for s in stages)
    result = retrieve(problem, stages, start, workers=1)
    height, width = (part.stop - part.start for part in problem.box)
    for dtype, shape, scene in seen:
        assert dtype == np.complex64 and shape == scene.support.shape == (height, width)
        assert scene.pixel_angstrom == GRID.pixel_angstrom and scene.image.target.shape == shape
    assert len(seen) >= 6 and result.estimate.dtype == np.complex64
    np.testing.assert_allclose(result.estimate, retrieve(problem, plain, start, workers=1).estimate, atol=1e-4)


def test_a_constraint_that_turns_phases_before_the_real_part_is_not_cut_short():
    """Half a transform would give it a real estimate, and the imaginary part that it looks at would be lost."""

    @constraint("turn")
    class Turn:
        def __call__(self, estimate, scene):
            assert estimate.imag.any()
            return estimate * np.exp(0.3j)

    problem = problem_of(random_particle(imaginary=0.3), electrons=1e5, noise_std=0.01)
    start = np.where(SUPPORT, problem.image, 0).astype(np.complex64)
    result = retrieve(problem, (Stage("s", 3, "er", ("turn", "real", "support")),), start, workers=1)
    assert not result.estimate.imag.any() and result.estimate.any()


def test_what_comes_back_in_another_shape_is_refused_by_name():
    @constraint("crop")
    class Crop:
        def __call__(self, estimate, scene):
            return estimate[1:]

    support = np.ones((4, 5), bool)
    constrain = compose(Stage("s", 1, "er", ("crop", "support")).constraints, Scene(support, 1.0))
    with pytest.raises(InputError, match=r"'crop': it returned shape \(3, 5\) for an estimate of \(4, 5\)"):
        constrain(np.ones((4, 5), np.complex64))


@pytest.mark.parametrize("declared", [(), ("linear_outside",)])
def test_an_update_rule_of_ones_own_iterates_as_its_formula_says(declared):
    class Relaxed:
        """Hybrid input-output, but for its name."""

        beta: Annotated[float, Parameter("β", above=0, high=1)] = 0.9
        extra: Annotated[float, Parameter("extra")] = 0.0

        def __call__(self, x, projected, constrain, fourier):
            b = self.beta + self.extra
            return constrain((1 + b) * projected - x) + x - b * projected

    for flag in declared:
        setattr(Relaxed, flag, True)
    update("relaxed")(Relaxed)
    truth = random_particle()
    problem = problem_of(truth)
    start = np.where(SUPPORT, problem.image, 0).astype(np.complex64)

    def run(rule, **how):
        stages = (Stage("s", 12, rule, ("real", "support")), Stage("settle", 8, "er", ("real", "support")))
        steps = iterate(problem, stages, start, workers=1, **how)
        *_, last = (snapshot for snapshot in steps)
        return last.r_factor

    assert run({"kind": "relaxed", "beta": 0.6, "extra": 0.1}) == pytest.approx(
        run({"kind": "hio", "beta": 0.7}), rel=1e-3
    )
    assert run("relaxed", beta=0.5) == pytest.approx(run("hio", beta=0.5), rel=1e-3)
    stage = Stage("s", 1, {"kind": "relaxed", "extra": 0.1})
    assert plan_from_toml(recipe_of(stage), where="recipe").retrieval.schedule == (stage,)


def test_flags_hold_the_rules_that_names_held():
    @constraint("choosy")
    class Choosy:
        needs_image: ClassVar[bool] = True
        only_with: ClassVar[tuple[str, ...]] = ("er", "raar")

        def __call__(self, estimate, scene):
            return estimate

    with pytest.raises(InputError, match=r"'choosy' with the update 'hio'; use the update 'er' or 'raar' with it"):
        Stage("s", 1, "hio", ("choosy", "support"))
    problem = replace(problem_of(random_particle()), image=None, image_transfer=None)
    with pytest.raises(InputError, match="stage 's': the choosy constraint needs a TEM image"):
        iterate(problem, (Stage("s", 1, "raar", ("choosy", "support")),), SUPPORT.astype(np.complex64))


PACKAGE = '''
from typing import Annotated
from napari_subangstrom_cdi.core.phasing.constraints import constraint
from napari_subangstrom_cdi.parameters import Parameter

@constraint("from-package")
class FromPackage:
    """Come from a package."""
    width: Annotated[float, Parameter("width", unit="Å", above=0)] = 1.0
    def __call__(self, estimate, scene):
        return estimate
'''


def install(folder, name, source, entries, group=GROUP):
    """A distribution as an installer leaves it: a module, and metadata with entry points."""
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n" + "\n".join(entries))


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    for registry in (CONSTRAINTS, UPDATES):  # as at the start of a program
        monkeypatch.setattr(registry, "_waiting", None)
        monkeypatch.setattr(registry, "_failed", {})
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("cdi_extra"):
            del sys.modules[name]


def test_a_package_brings_one_by_an_entry_point(site):
    install(site, "cdi_extra_good", PACKAGE, ["from-package = cdi_extra_good:FromPackage"])
    assert "cdi_extra_good" not in sys.modules
    stage = Stage("s", 1, "er", ({"kind": "from-package", "width": 2}, "support"))
    assert stage.constraints[0].width == 2 and "from-package" in CONSTRAINTS.names()
    assert plan_from_toml(recipe_of(stage), where="recipe").retrieval.schedule == (stage,)


def test_a_class_without_the_decorator_is_registered_by_its_entry_point(site):
    source = PACKAGE.replace('@constraint("from-package")', "")
    install(site, "cdi_extra_plain", source, ["plain = cdi_extra_plain:FromPackage"])
    registry = new_registry()
    assert registry.names() == ("plain",) and table_of(registry.named("plain")()) == {"kind": "plain", "width": 1.0}


def test_a_broken_package_is_doubted_and_stops_no_other(site):
    install(site, "cdi_extra_broken", "raise RuntimeError('out of order')", ["broken = cdi_extra_broken:Broken"])
    install(
        site, "cdi_extra_misnamed", PACKAGE.replace("from-package", "inner"), ["outer = cdi_extra_misnamed:FromPackage"]
    )
    install(
        site, "cdi_extra_thief", PACKAGE.replace("from-package", "support"), ["support = cdi_extra_thief:FromPackage"]
    )
    install(site, "cdi_extra_good", PACKAGE, ["from-package = cdi_extra_good:FromPackage"])
    support = CONSTRAINTS.named("support")
    with collected_doubts() as doubts:
        names = CONSTRAINTS.names()
    assert "from-package" in names and "broken" not in names and "outer" not in names
    assert CONSTRAINTS.named("support") is support
    assert len(doubts) == 3
    assert any("'broken' of the package cdi_extra_broken: RuntimeError: out of order" in doubt for doubt in doubts)
    assert any("it calls itself 'inner'" in doubt for doubt in doubts)
    with collected_doubts() as again:
        CONSTRAINTS.names()
    assert not again
    with pytest.raises(
        InputError, match=r"unknown constraint 'broken'; mend the package that brings it: .*out of order"
    ):
        Stage("s", 1, "er", ("broken", "support"))


def test_a_name_loads_no_package_but_its_own(site):
    install(site, "cdi_extra_broken", "raise RuntimeError('out of order')", ["broken = cdi_extra_broken:Broken"])
    install(site, "cdi_extra_good", PACKAGE, ["from-package = cdi_extra_good:FromPackage"])
    with collected_doubts() as doubts:
        assert Stage("s", 1, "er", ("from-package", "support")).constraints[0].width == 1
    assert not doubts and "cdi_extra_broken" not in sys.modules


def test_update_rules_come_the_same_way(site):
    source = """
class Slow:
    \"\"\"Half the way.\"\"\"
    def __call__(self, x, projected, constrain, fourier):
        return (x + constrain(projected)) / 2
"""
    install(site, "cdi_extra_slow", source, ["slow = cdi_extra_slow:Slow"], "napari_subangstrom_cdi.updates")
    problem = problem_of(random_particle())
    start = np.where(SUPPORT, problem.image, 0).astype(np.complex64)
    result = retrieve(problem, (Stage("s", 60, "slow", ("real", "support")),), start, workers=1)
    assert result.r_factor < 0.5 * result.r_history[0]
    assert [kind for kind in UPDATES.names() if kind == "slow"] == ["slow"]
