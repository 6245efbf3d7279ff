"""What a resource must look like: StructureDefinitions, SearchParameters and the validator."""

from profiles.validate import validate

__all__ = ["validate"]
