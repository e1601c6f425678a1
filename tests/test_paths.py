"""Where state lies, and that files are their owner's alone."""

import os
from pathlib import Path

import pytest

from goedgepickt_async import paths


def test_state_lies_below_an_absolute_xdg_state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert paths.state_dir() == tmp_path / "goedgepickt"


@pytest.mark.parametrize("value", ["", "relative", "./here", "~/state"])
def test_a_relative_xdg_state_home_is_ignored(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert paths.state_dir() == tmp_path / ".local" / "state" / "goedgepickt"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no user ids")
def test_the_runtime_directory_depends_on_the_user_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = paths.runtime_dir()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert paths.runtime_dir() == found
    assert found.name in {f"goedgepickt-{os.getuid()}", "run"}


def test_directories_and_files_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    paths.make_private_directory(folder)
    paths.make_private_file(folder / "file")
    assert [place.stat().st_mode & 0o777 for place in (folder, folder.parent, folder.parent.parent)] == [0o700] * 3
    assert (folder / "file").stat().st_mode & 0o777 == 0o600


def test_an_own_file_that_others_can_read_is_repaired_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    file.chmod(0o644)
    with pytest.raises(paths.UnsafePathError, match="other users"):
        paths.make_private_file(file, repair=False)
    paths.make_private_file(file)
    assert (file.stat().st_mode & 0o777, file.read_text()) == (0o600, "kept")


def test_links_are_refused_and_what_they_point_to_is_left_alone(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(notes)
    with pytest.raises(paths.UnsafePathError, match="not a link"):
        paths.make_private_file(link)
    with pytest.raises(OSError, match=r"."):
        paths.FileLock(link).take()
    hard = tmp_path / "hard"
    hard.hardlink_to(notes)
    with pytest.raises(paths.UnsafePathError, match="hard link"):
        paths.make_private_file(hard)
    folder = tmp_path / "folder"
    folder.symlink_to(tmp_path)
    with pytest.raises(paths.UnsafePathError, match="not a link"):
        paths.make_private_directory(folder)
    (tmp_path / "out.new").symlink_to(notes)
    paths.write_private(tmp_path / "out", "text")
    assert (notes.read_text(), (tmp_path / "out").read_text()) == ("precious", "text")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no modes")
def test_a_file_in_a_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(paths.UnsafePathError, match="chmod go-w"):
        paths.check_directories(shared / "file")
    shared.chmod(0o1777)
    paths.check_directories(shared / "file")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    paths.write_private(file, "old")
    file.unlink()
    file.mkdir()
    (file / "inside").write_text("")
    with pytest.raises(OSError, match=r"."):
        paths.write_private(file, "new")
    assert file.is_dir()
    assert not (tmp_path / "kept.new").exists()


@pytest.mark.skipif(os.name == "nt", reason="no locks")
def test_one_holder_at_a_time_has_a_lock(tmp_path: Path) -> None:
    first, second = paths.FileLock(tmp_path / "lock"), paths.FileLock(tmp_path / "lock")
    assert first.take()
    assert not second.take()
    first.release()
    with second:
        assert second.take()
        assert not first.take()
    assert first.take()
    first.release()
