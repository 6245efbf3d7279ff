"""Signed, versioned files of parameters, without which a measure refuses."""
