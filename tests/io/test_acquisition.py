"""The acquisition file: units, absurd values, unknown keys."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_subangstrom_cdi
from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.io import Acquisition, read_acquisition, require

SAMPLE = Path(napari_subangstrom_cdi.__file__).parent / "simulation" / "sample" / "acquisition.json"


def _file(folder: Path, text: str | bytes, name: str = "a.json") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _read(folder: Path, **keys: Any) -> Acquisition:
    return read_acquisition(_file(folder, json.dumps(keys)))


def test_the_sample_in_the_fields_units() -> None:
    a = read_acquisition(SAMPLE)
    assert (a.energy_ev, a.camera_length_mm, a.detector_pixel_um) == (200e3, 797.48, 25)
    assert (a.counts_per_electron, a.dark_noise_electrons) == (0.8, 1)
    assert (a.image_pixel_angstrom, a.cs_mm, a.defocus_nm, a.defocus_spread_nm) == (0.36, 1, -59.7, 4)
    assert (a.information_limit_per_angstrom, a.image_to_pattern_rotation_deg) == (0.52, 11.5)
    assert (a.offset_counts, a.saturation_counts, a.reciprocal_pixel_per_angstrom, a.beam_centre_px) == (None,) * 4
    assert a.note.startswith("simulated")


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    text = 'beam_energy_eV = 80_000\ncs_mm = -0.015\nbeam_centre_px = [3, -4.5]\nnote = "corrected"\n'
    from_toml = read_acquisition(_file(tmp_path, text, "a.toml"))
    from_json = _read(tmp_path, beam_energy_kV=80, cs_mm=-0.015, beam_centre_px=[3, -4.5], note="corrected")
    assert from_toml == from_json
    assert from_json.energy_ev == 80e3 and from_json.beam_centre_px == (3, -4.5)


def test_all_is_optional_and_null_is_unknown(tmp_path: Path) -> None:
    assert _read(tmp_path) == Acquisition() == _read(tmp_path, cs_mm=None)
    assert Acquisition().to_dict() == {}


@given(
    energy=st.floats(1e4, 3e6),
    length=st.none() | st.floats(200, 1e4),
    rotation=st.none() | st.floats(-360, 360),
    centre=st.none() | st.tuples(st.floats(-900, 900), st.floats(-900, 900)),
)
def test_round_trip_is_exact(
    energy: float, length: float | None, rotation: float | None, centre: tuple[float, float] | None
) -> None:
    a = Acquisition(
        energy_ev=energy,
        camera_length_mm=length,
        image_to_pattern_rotation_deg=rotation,
        beam_centre_px=centre,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Acquisition.from_mapping(json.loads(json.dumps(a.to_dict()))) == a


def test_the_sample_goes_through_its_mapping() -> None:
    a = read_acquisition(SAMPLE)
    assert Acquisition.from_mapping(a.to_dict()) == a


@pytest.mark.parametrize(
    ("key", "value", "unit", "meant"),
    [
        ("beam_energy_kV", 200000, "eV", "200"),
        ("beam_energy_kV", 0.2, "MeV", "200"),
        ("beam_energy_eV", 200, "kV", "200000"),
        ("camera_length_mm", 0.79748, "m", "797.48"),
        ("camera_length_mm", 797480, "µm", "797.48"),
        ("detector_pixel_um", 2.5e-5, "m", "25"),
        ("detector_pixel_um", 0.025, "mm", "25"),
        ("detector_pixel_um", 25000, "nm", "25"),
        ("reciprocal_pixel_per_A", 1.25e7, "1/m", "0.00125"),
        ("image_pixel_nominal_A", 3.6e-11, "m", "0.36"),
        ("image_pixel_nominal_A", 360, "pm", "3.6"),
        ("cs_mm", 1000, "µm", "1"),
        ("cs_mm", 1.2e7, "Å", "1.2"),
        ("defocus_nm", -5.97e-8, "m", "-59.7"),
        ("defocus_spread_nm", 4e-9, "m", "4"),
        ("information_limit_per_A", 5.2, "1/nm", "0.52"),
    ],
)
def test_the_wrong_unit_is_recognised(tmp_path: Path, key: str, value: float, unit: str, meant: str) -> None:
    pattern = rf"a\.json: {key} is .*, which looks like {re.escape(unit)}; did you mean {re.escape(meant)}\?"
    with pytest.raises(InputError, match=pattern):
        _read(tmp_path, **{key: value})


@pytest.mark.parametrize(
    ("key", "value", "pattern"),
    [
        ("camera_length_mm", 79.748, r"if it is in cm, give 797.48"),
        ("camera_length_mm", 1e5, r"unusual value; if it is in µm|unusual value; a usual one is 800"),
        ("image_pixel_nominal_A", 0.036, r"if it is in nm, give 0.36"),
        ("image_pixel_nominal_A", 36, r"if it is in pm, give 0.36"),
        ("cs_mm", 0.001, r"if it is in m, give 1"),
        ("cs_mm", 0.0027, r"if it is in m, give 2.7"),
        ("defocus_nm", -0.0597, r"if it is in µm, give -59.7"),
        ("defocus_nm", 59.7, r"positive, which means overfocus here; .*give -59.7"),
        ("defocus_spread_nm", 400, r"if it is in Å, give 40"),
    ],
)
def test_an_unusual_value_is_warned_of_and_kept(tmp_path: Path, key: str, value: float, pattern: str) -> None:
    with pytest.warns(QualityWarning, match=pattern) as caught:
        a = _read(tmp_path, **{key: value})
    assert len(caught) == 1 and "a.json" in str(caught[0].message)
    assert value in dataclasses.astuple(a)


@pytest.mark.parametrize(
    ("key", "value", "pattern"),
    [
        ("beam_energy_kV", -200, r"beam_energy_kV is -200, outside 1 to 5000; a usual value is 200"),
        ("beam_energy_kV", 0, r"outside 1 to 5000"),
        ("camera_length_mm", 0, r"camera_length_mm is 0, outside"),
        ("counts_per_electron", 0, r"counts_per_electron is 0, outside"),
        ("dark_noise_electrons", -1, r"dark_noise_electrons is -1, outside"),
        ("defocus_spread_nm", -4, r"defocus_spread_nm is -4, outside"),
        ("image_to_pattern_rotation_deg", 1150, r"outside -360 to 360"),
        ("defocus_nm", 1e-15, r"too small to be meant"),
        ("cs_mm", "1.0", r"cs_mm is '1.0', not a number; write the bare number, e.g. 1, without quotes"),
        ("beam_energy_kV", "200 kV", r"is '200 kV', not a number"),
        ("cs_mm", True, r"cs_mm is true or false, not a number"),
        ("cs_mm", [1.0], r"cs_mm is a list, not a number"),
        ("cs_mm", {"value": 1}, r"cs_mm is a group of keys, not a number"),
        ("cs_mm", math.nan, r"cs_mm is nan; give a finite number"),
        ("cs_mm", math.inf, r"cs_mm is inf; give a finite number"),
        ("cs_mm", 10**400, r"cs_mm is inf; give a finite number"),
        ("beam_centre_px", 5, r"beam_centre_px is not a pair of numbers; write it as \[y, x\]"),
        ("beam_centre_px", [1, "2"], r"beam_centre_px is '2', not a number"),
    ],
)
def test_impossible_values(tmp_path: Path, key: str, value: Any, pattern: str) -> None:
    with pytest.raises(InputError, match=pattern) as caught:
        _read(tmp_path, **{key: value})
    assert str(caught.value).startswith(str(tmp_path)) and caught.value.mend


def test_values_are_checked_however_the_object_is_made() -> None:
    with pytest.raises(InputError, match="beam_energy_eV is 200, which looks like kV; did you mean 200000"):
        Acquisition(energy_ev=200)
    with pytest.raises(InputError, match="camera_length_mm"):
        dataclasses.replace(read_acquisition(SAMPLE), camera_length_mm=-1)
    with pytest.raises(InputError, match="beam_centre_px"):
        Acquisition(beam_centre_px=(1, 2, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "near"),
    [("beam_energy_kv", "beam_energy_kV"), ("camera_lenght_mm", "camera_length_mm"), ("Cs_mm", "cs_mm"),
     ("defocus_Å", "defocus_nm"), ("beam_center_px", "beam_centre_px")],
)  # fmt: skip
def test_an_unknown_key_is_warned_of_with_the_nearest(tmp_path: Path, key: str, near: str) -> None:
    with pytest.warns(QualityWarning, match=rf"unknown key '{key}'; did you mean {near}\?"):
        assert _read(tmp_path, **{key: 200}) == Acquisition()


def test_a_key_near_to_none(tmp_path: Path) -> None:
    with pytest.warns(QualityWarning, match="unknown key 'operator'; it is left out"):
        _read(tmp_path, operator="W. Zuo")
    _read(tmp_path, _operator="W. Zuo")  # private keys are nobody's mistake, and warnings are errors here


def test_the_beam_energy_is_given_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gives both beam_energy_kV and beam_energy_eV; give one"):
        _read(tmp_path, beam_energy_kV=200, beam_energy_eV=200000)
    with pytest.raises(InputError, match="gives cs_mm twice; leave one"):
        read_acquisition(_file(tmp_path, '{"cs_mm": 1, "cs_mm": 2}'))


def test_a_reciprocal_pixel_that_contradicts_the_camera_length(tmp_path: Path) -> None:
    keys = {"beam_energy_kV": 200, "camera_length_mm": 797.48, "detector_pixel_um": 25}
    _read(tmp_path, reciprocal_pixel_per_A=0.00125, **keys)  # agrees: no warning
    with pytest.warns(QualityWarning, match=r"reciprocal_pixel_per_A is 0.0025, but .* give 0.00124998"):
        _read(tmp_path, reciprocal_pixel_per_A=0.0025, **keys)


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"", "the file is empty"),
        (b"  \n", "the file is empty"),
        (b'{"cs_mm": 1,}', r"is not valid JSON \(.*line 1 column"),
        (b"cs_mm = 1", r"is not valid JSON"),
        (b"[1, 2]", r"holds a list where keys and values belong"),
        (b"null", r"holds null where keys and values belong"),
        ('{"cs_mm": 1}'.encode("utf-16-le"), r"is saved as UTF-16; save it as UTF-8"),
        (
            b'{"camera_length_mm": 797,48, "cs_mm": 1}',
            r"camera_length_mm is 797,48, .* comma; write 797.48",
        ),
        (b'{"cs_mm": 1,\n "defocus_nm": -59,7\n}', r"defocus_nm is -59,7, with a decimal comma; write -59.7"),
        (b'{"cs_mm": "1,2"}', r"cs_mm is '1,2', not a number; write the bare number, 1.2, without quotes"),
        (b"\x89HDF\r\n\x1a\n\0\0\0", r"is no text in UTF-8"),
        (b"[" * 100000, r"is not valid JSON \(nested too deeply\)"),
        (b'{"cs_mm": ' + b"9" * 5000 + b"}", r"is not valid JSON \(Exceeds the limit"),
        (b" " * 2**21 + b"{}", r"more than 1.05 MB"),
    ],
)
def test_files_that_are_no_acquisition(tmp_path: Path, content: bytes, pattern: str) -> None:
    with pytest.raises(InputError, match=pattern) as caught:
        read_acquisition(_file(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert read_acquisition(_file(tmp_path, '{"cs_mm": 1}'.encode("utf-8-sig"))).cs_mm == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_what_windows_saves_as_unicode_is_read(tmp_path: Path, encoding: str) -> None:
    mark = "" if encoding == "utf-16" else "\ufeff"
    assert read_acquisition(_file(tmp_path, f'{mark}{{"cs_mm": 1, "note": "粒子"}}'.encode(encoding))).note == "粒子"


def test_a_list_in_a_broken_file_is_no_decimal_comma(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not valid JSON \(") as caught:
        read_acquisition(_file(tmp_path, b'{"beam_centre_px": [12,5], "cs_mm" 1}'))
    assert "comma;" not in str(caught.value)


def test_a_usual_pixel_of_a_small_detector_is_not_doubted(tmp_path: Path) -> None:
    assert _read(tmp_path, reciprocal_pixel_per_A=0.0267).reciprocal_pixel_per_angstrom == 0.0267


def test_missing_file_folder_and_bad_toml(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_acquisition(tmp_path / "none.json")
    with pytest.raises(InputError, match="is a folder"):
        read_acquisition(tmp_path)
    with pytest.raises(InputError, match="is not valid TOML"):
        read_acquisition(_file(tmp_path, "cs_mm: 1", "a.toml"))


def test_require_gives_the_values() -> None:
    a = read_acquisition(SAMPLE)
    assert require(a, "energy_ev", "camera_length_mm") == (200e3, 797.48)
    assert require(a, ("reciprocal_pixel_per_angstrom", "camera_length_mm")) == (797.48,)
    assert require(Acquisition(defocus_nm=0), "defocus_nm") == (0,)


def test_require_names_what_is_missing() -> None:
    with pytest.raises(InputError) as caught:
        require(
            Acquisition(cs_mm=1),
            "energy_ev",
            "cs_mm",
            ("camera_length_mm", "reciprocal_pixel_per_angstrom"),
            where="calibration",
        )
    assert str(caught.value) == (
        "calibration: the acquisition lacks beam_energy_kV and camera_length_mm or reciprocal_pixel_per_A; "
        'add to its file (--acquisition FILE), e.g. "beam_energy_kV": 200, "camera_length_mm": 800'
    )
