"""What a resource must look like: StructureDefinitions, SearchParameters and the validator."""

from profiles.validate import Options, validate

__all__ = ["Options", "validate"]
