"""What the distribution promises: manifest, sample, reader, and a headless side free of Qt."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
import types
from importlib.metadata import entry_points, metadata, version
from pathlib import Path

import h5py
import numpy as np
import pytest

import napari_subangstrom_cdi
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.plugin import reader as napari_reader
from napari_subangstrom_cdi.plugin import sample as napari_sample

ROOT = Path(__file__).parents[1]
PACKAGE = Path(napari_subangstrom_cdi.__file__).parent
GUI_MODULES = {
    "magicgui",
    "napari",
    "pyqtgraph",
    "PyQt5",
    "PyQt6",
    "PySide2",
    "PySide6",
    "qtpy",
    "superqt",
    "vispy",
}


def write_result(path: Path, *, image: np.ndarray, pixel_metres: tuple[float, float] | None = None) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("entry_1/image_1")
        group["data"] = image
        if pixel_metres is not None:
            group["y_pixel_size"], group["x_pixel_size"] = pixel_metres
    return path


def test_installed_metadata_agrees_with_the_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert version("napari-subangstrom-cdi") == project["version"] == napari_subangstrom_cdi.__version__
    assert "Framework :: napari" in metadata("napari-subangstrom-cdi").get_all("Classifier")
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert entry_points(group="console_scripts", name="napari-subangstrom-cdi")


def test_base_dependencies_bring_no_qt_and_no_napari():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {requirement.split(">")[0].strip().lower() for requirement in project["dependencies"]}
    assert "numpy" in names
    heavy = GUI_MODULES - {"pyqtgraph", "qtpy"}  # pure Python, without a Qt of their own
    assert not names & {module.lower() for module in heavy}


def imported_modules(source: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, relative imports by their full names."""
    folders = ["napari_subangstrom_cdi", *source.relative_to(PACKAGE).parts[:-1]]
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = folders[: len(folders) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            # "from package import x" may name a module
            inner = {f"{module}.{alias.name}" for alias in node.names}
            names |= {name for name in inner if is_module(name)} or {module}
    return names


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def folders() -> list[Path]:
    """Every room of the package, the whole house first."""
    return sorted({path.parent for path in PACKAGE.rglob("*.py")})


def rooms_id(folder: Path) -> str:
    return "/".join(folder.relative_to(PACKAGE).parts) or "the house"


def entry_of(module: str, folder: Path) -> str | None:
    """The file or room of a folder that a module is, or is in."""
    prefix = ["napari_subangstrom_cdi", *folder.relative_to(PACKAGE).parts]
    parts = module.split(".")
    return parts[len(prefix)] if parts[: len(prefix)] == prefix and len(parts) > len(prefix) else None


def arrows(folder: Path) -> dict[str, set[str]]:
    """Which entries of a folder each of its entries imports, for type checkers alone, too; faces left out."""
    found: dict[str, set[str]] = {}
    for source in folder.rglob("*.py"):
        if source.name != "__init__.py":
            own = source.relative_to(folder).parts[0].removesuffix(".py")
            named = {entry_of(module, folder) for module in imported_modules(source)}
            found.setdefault(own, set()).update(name for name in named if name not in (None, own))
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A way back to where it began, if there is one."""
    clear: set[str] = set()

    def walk(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node not in clear:
            for other in sorted(graph.get(node, ())):
                if back := walk(other, [*way, node]):
                    return back
            clear.add(node)
        return []

    return next((back for node in sorted(graph) if (back := walk(node, []))), [])


@pytest.mark.parametrize("folder", folders(), ids=rooms_id)
def test_no_room_has_a_circle(folder):
    assert " <- ".join(circle(arrows(folder))) == ""


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c", "a"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_rooms_import_one_way():
    below = {
        "errors": set(),
        "parameters": {"errors"},
        "core": {"errors", "parameters"},
        "io": {"errors", "parameters", "core"},
        "simulation": {"errors", "parameters", "core", "io"},
    }
    below["job"] = {*below["io"], "io"}
    below["api"] = {*below["job"], "job", "simulation"}
    below["session"] = {*below["job"], "job", "simulation"}
    below["gui"] = {*below["session"], "session"}
    below["plugin"] = below["cli"] = {*below["gui"], "gui"}
    below["__main__"] = {"cli"}
    graph = arrows(PACKAGE)
    assert graph.keys() == below.keys()
    assert {room: found - below[room] for room, found in graph.items() if found - below[room]} == {}


@pytest.mark.parametrize("folder", folders(), ids=rooms_id)
def test_a_room_holds_no_more_than_one_can_survey(folder):
    if folder == PACKAGE:
        entries = sorted(path.name for path in folder.iterdir() if path.name != "__pycache__")
    else:
        entries = sorted(path.name for path in folder.glob("*.py"))
    assert len(entries) <= 15, f"{len(entries)} entries: {', '.join(entries)}"


@pytest.mark.parametrize("folder", folders(), ids=rooms_id)
def test_the_face_of_a_room_lists_what_is_in_it(folder):
    face = (folder / "__init__.py").read_text(encoding="utf-8")
    told = set(re.findall(r"``([\w.]+)``", ast.get_docstring(ast.parse(face)) or ""))
    there = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    missing = sorted(there - told - {"__init__"})
    assert not missing, f"the docstring of {folder.name}/__init__.py does not name {', '.join(missing)}"
    if folder != PACKAGE:
        gone = sorted(name for name in told_first(face) if not (folder / name).is_dir() and name not in there)
        assert not gone, f"the docstring of {folder.name}/__init__.py names {', '.join(gone)}, which is not there"


def told_first(face: str) -> set[str]:
    """The names at the head of a face's lines."""
    return set(re.findall(r"^- ``(\w+)``: ", ast.get_docstring(ast.parse(face)) or "", re.MULTILINE))


@pytest.mark.parametrize("folder", folders(), ids=rooms_id)
def test_the_public_names_of_a_room_are_there(folder):
    if "gui" in folder.parts:
        pytest.importorskip("napari")
    name = ".".join(["napari_subangstrom_cdi", *folder.relative_to(PACKAGE).parts])
    for path in folder.glob("*.py"):
        if path.stem not in ("__init__", "__main__"):
            importlib.import_module(f"{name}.{path.stem}")  # so that a module of a name's own name would take its place
    room = importlib.import_module(name)
    submodules = {path.parent.name for path in folder.glob("*/__init__.py")} | {p.stem for p in folder.glob("*.py")}
    assert room.__all__, "a room has public names"
    for public in room.__all__:
        is_face = isinstance(getattr(room, public), types.ModuleType)
        assert is_face == (public in submodules), f"{name}.{public} is a module, and a name's own"


def test_entering_a_room_loads_no_window_and_no_figures():
    rooms = [".".join(["napari_subangstrom_cdi", *path.relative_to(PACKAGE).parts]) for path in folders()]
    script = (
        f"import sys, importlib\nfor room in {rooms}: importlib.import_module(room)\n"
        f"print(sorted({{m.split('.')[0] for m in sys.modules}} & {GUI_MODULES | {'matplotlib'}!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_gui_imports_napari_or_qt():
    sources = [path for path in PACKAGE.rglob("*.py") if "gui" not in path.relative_to(PACKAGE).parts]
    assert len(sources) > 5
    found = {
        f"{source.relative_to(PACKAGE)}: {module}"
        for source in sources
        for module in imported_modules(source)
        if module.split(".")[0] in GUI_MODULES
    }
    assert not found


def test_core_imports_nothing_but_arrays_and_crystals():
    allowed = {
        "numpy",
        "scipy",
        "skimage",
        "ase",
        "gemmi",
        "lazy_loader",
        "spglib",
        "threadpoolctl",
        *sys.stdlib_module_names,
    }
    own = tuple(f"napari_subangstrom_cdi.{name}" for name in ("core", "errors", "parameters"))
    found = {
        f"{source.name}: {module}"
        for source in (PACKAGE / "core").rglob("*.py")
        for module in imported_modules(source)
        if module.split(".")[0] not in allowed and not module.startswith(own)
    }
    assert not found


def test_headless_modules_load_no_gui_at_run_time():
    modules = [
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py" and "gui" not in path.relative_to(PACKAGE).parts
    ]
    assert {"cli.main", "job.pipeline", "job.report", "core.phasing.retrieval", "io.cxi"} <= set(modules)
    script = (
        f"import sys, importlib\nfor m in {modules}: importlib.import_module('napari_subangstrom_cdi.' + m)\n"
        f"print(sorted({{m.split('.')[0] for m in sys.modules}} & {GUI_MODULES!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_of_the_manifest_can_be_called():
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_distribution("napari-subangstrom-cdi")
    manifest.validate_imports()
    assert manifest.display_name == "Sub-Å CDI"
    assert {command.id for command in manifest.contributions.commands} == {
        contribution.command
        for kind in ("sample_data", "readers", "writers", "widgets")
        for contribution in getattr(manifest.contributions, kind)
    }


def test_manifest_at_the_top_is_the_packaged_one():
    assert (ROOT / "napari.yaml").resolve() == (ROOT / "src/napari_subangstrom_cdi/napari.yaml").resolve()


def test_sample_records_share_one_frame_in_pixels():
    layers = napari_sample.platelet_records()
    assert [options["name"] for _, options, _ in layers] == [
        "background pattern",
        "particle pattern",
        "TEM image",
    ]
    for data, options, kind in layers:
        assert kind == "image"
        assert data.dtype == np.uint16
        assert options["units"] == ("pixel", "pixel")
        assert options["axis_labels"] == ("y", "x")
        low, high = options["contrast_limits"]
        assert data.min() <= low < high <= data.max()
        assert options["metadata"]["acquisition"]["beam_energy_kV"] == 200
    background, particle, image = (data for data, _, _ in layers)
    assert background.shape == particle.shape == (2048, 2048)
    assert particle.astype(float).sum() > background.astype(float).sum()
    assert layers[2][1]["translate"][1] > particle.shape[1]
    assert image.shape == (1024, 1024)


def test_sample_image_is_scaled_by_the_nominal_pixel():
    [(data, options, _)] = napari_sample.platelet_image()
    assert data.shape == (1024, 1024)
    assert options["scale"] == (0.36, 0.36)
    assert options["units"] == ("Å", "Å")


def test_reader_splits_a_complex_object(tmp_path):
    rng = np.random.default_rng(0)
    image = (rng.normal(size=(24, 30)) + 1j * rng.normal(size=(24, 30))).astype(np.complex64)
    path = write_result(tmp_path / "a.cxi", image=image, pixel_metres=(0.39e-10, 0.41e-10))
    with h5py.File(path, "a") as file:
        file["entry_1/image_1/support"] = np.abs(image) > 1
    layers = {options["name"]: (data, options, kind) for data, options, kind in napari_reader.read_layers(path)}
    assert list(layers) == ["amplitude", "phase", "real part", "support"]
    amplitude, phase = layers["amplitude"][0], layers["phase"][0]
    np.testing.assert_allclose(amplitude * np.exp(1j * phase), image, rtol=1e-5)
    np.testing.assert_array_equal(layers["real part"][0], image.real)
    np.testing.assert_array_equal(layers["support"][0], np.abs(image) > 1)
    assert layers["support"][2] == "labels"
    for _, options, _ in layers.values():
        np.testing.assert_allclose(options["scale"], (0.39, 0.41))
        np.testing.assert_allclose(options["translate"], (-12 * 0.39, -15 * 0.41))
        assert options["units"] == ("Å", "Å")


def test_reader_opens_a_real_image_without_calibration_in_pixels(tmp_path):
    path = write_result(tmp_path / "real.cxi", image=np.eye(16, dtype=np.float32))
    [(data, options, _)] = napari_reader.read_layers([path])
    np.testing.assert_array_equal(data, np.eye(16))
    assert options["units"] == ("pixel", "pixel")
    assert options["scale"] == (1.0, 1.0)


@pytest.mark.parametrize("pixel", [(0.0, 1e-10), (np.nan, 1e-10), (np.inf, 1e-10)])
def test_reader_does_not_believe_an_absurd_pixel_size(tmp_path, pixel):
    path = write_result(tmp_path / "a.cxi", image=np.eye(16), pixel_metres=pixel)
    assert napari_reader.read_layers(path)[0][1]["units"] == ("pixel", "pixel")


def test_reader_declines_other_files(tmp_path):
    assert napari_reader.get_reader("a.tif") is None
    assert napari_reader.get_reader(["a.cxi", "b.tif"]) is None
    assert napari_reader.get_reader([]) is None
    assert napari_reader.get_reader(tmp_path / "A.CXI") is napari_reader.read_layers


def test_reader_says_what_is_wrong_with_a_file(tmp_path):
    text = tmp_path / "text.cxi"
    text.write_text("not HDF5")
    huge = tmp_path / "huge.cxi"
    with h5py.File(huge, "w") as file:
        file.create_dataset("entry_1/image_1/data", shape=(2**20, 2**20), dtype="c8", chunks=(64, 64))
    for path, problem in [
        (text, "named .cxi but holds text"),
        (tmp_path / "absent.cxi", "there is no such file"),
        (huge, "1048576 x 1048576 pixels"),
    ]:
        with pytest.raises(InputError, match=problem) as caught:
            napari_reader.read_layers(path)
        assert str(path) in str(caught.value)


def test_launch_without_napari_tells_how_to_install_it():
    script = """
import sys
sys.modules["napari"] = None  # what Python itself does to block an import
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.window.launch import launch
try:
    launch()
except InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 'pip install "napari[all]"' in done.stdout
