"""Write the reference of the library, as HTML made from the docstrings, into build/docs or another folder.

python -m docs.reference build/docs

One page has the public names of `import generator`. The others have the classes that these return, or inherit from.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import fields
from importlib import import_module
from inspect import cleandoc
from pathlib import Path

import pdoc

FOLDER = Path(__file__).parents[1] / "build" / "docs"
BESIDE = {
    "generator.corpora.copies": ["Place", "Runs"],
    "generator.model.config": ["ModelConfig"],
    "generator.model.state": ["State"],
    "generator.music.score": ["Clock"],
    "generator.streaming.course": ["Course"],
    "generator.streaming.injecting": ["Injecting"],
    "generator.streaming.inspecting": ["Inspecting"],
    "generator.streaming.meter": ["Meter"],
    "generator.streaming.origin": ["Origin"],
    "generator.streaming.runtime": ["Runtime"],
    "generator.tokenizers.base": ["Decoder", "Tokenizer"],
}
"""For each module the classes that the public names return or inherit from, where these are not public themselves."""


def explained(options: type) -> str:
    """The docstring of an options class, with what its fields mean as a further section."""
    told = [spec for spec in fields(options) if "help" in spec.metadata]
    lines = (f"    {spec.name}: {spec.metadata['help']} (default: {spec.default!r})" for spec in told)
    return "\n".join([cleandoc(options.__doc__ or ""), "", "Attributes:", *lines])


def write(folder: Path) -> None:
    """Write the pages into a folder, which is made where it is missing."""
    generator = import_module("generator")
    for name in generator.__all__:
        getattr(generator, name)  # the package imports a name when it is first asked for, and pdoc asks for none
    for module, names in BESIDE.items():
        import_module(module).__all__ = names
    generator.SamplingOptions.__doc__ = explained(generator.SamplingOptions)
    pdoc.render.configure(docformat="google", show_source=False)
    with warnings.catch_warnings():
        # A subclass inherits fields, but not the imports that their types are written with.
        warnings.filterwarnings("ignore", "Error parsing type annotation")
        pdoc.pdoc("generator", "!generator[.]", *BESIDE, output_directory=folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
