"""`search.generate` for the fakes of search_fakes.py, which know nothing of the port."""

from s2t_np import search


def generate(fake, *arguments, **options):
    """As search.generate, over a fake's two functions and the port's own arithmetic."""
    return search.generate(search.Decoder(fake.start, fake.step), *arguments, **options)
