"""Unpacks members of a wheel or of an npm tarball: ARCHIVE FOLDER [FROM TO]..."""

import os
import shutil
import sys
import tarfile
import zipfile


def members(archive):
    """Yields the name of each file, a function that opens it, and its permissions."""
    if archive.endswith(".whl"):
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if not info.is_dir():
                    yield info.filename, lambda: wheel.open(info), info.external_attr >> 16
    else:
        with tarfile.open(archive) as tarball:
            for info in tarball:
                if info.isfile():
                    yield info.name, lambda: tarball.extractfile(info), info.mode


def main(archive, folder, *pairs):
    wanted = dict(zip(pairs[::2], pairs[1::2]))
    met = set()
    for name, opened, mode in members(archive):
        for source, target in wanted.items():
            if name == source or source.endswith("/") and name.startswith(source):
                met.add(source)
                path = os.path.join(folder, target + name[len(source):])
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with opened() as member, open(path, "wb") as file:
                    shutil.copyfileobj(member, file, 1 << 20)
                if mode & 0o100:
                    os.chmod(path, 0o755)
    for source in wanted:
        if source not in met:
            sys.exit(f"{source} is not in it")


try:
    main(*sys.argv[1:])
except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
    sys.exit(str(error))
