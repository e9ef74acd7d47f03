"""The options of `bearcnn predict`: one module with one dataclass for each panel of its help."""
