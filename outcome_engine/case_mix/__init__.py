"""Case-mix models: what a hospital's own children led to expect."""
