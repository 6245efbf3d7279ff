"""What a resource must look like: StructureDefinitions, SearchParameters and the validator."""

from profiles.unsaid import unsaid
from profiles.validate import Options, validate

__all__ = ["Options", "unsaid", "validate"]
