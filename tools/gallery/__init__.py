"""The pictures of docs/gallery.md, made from the bundled model and recordings alone.

scenes.py     one function for each picture: what runs, and what is shown of it
stage.py      what the scenes share: sounds, the command in a terminal, a browser, small files
__main__.py   python -m tools.gallery
"""
