"""A release: built from a clean checkout, with known contents, the same bytes each time, and a bill of materials.

    building    a source tree -> wheel and sdist, without traces of when, where and by whom
    contents    what has to be in them: the tracked files, and what setuptools adds
    bill        CycloneDX: the packages that an installation brings along, and the files that are not code

`python -m tools.release FOLDER` does it all. tests/house/test_release.py builds twice and compares.
"""
