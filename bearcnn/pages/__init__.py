"""What all pages share: one layout and one style, without other files, for any browser and without a network."""

from collections.abc import Mapping
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template


def load_template(package: str, name: str, filters: Mapping[str, Any]) -> Template:
    """Load a page's template from a package's folder `templates`, or from the one that all pages share.

    The template escapes every value, and raises for a name that it isn't given.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("bearcnn.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name)
