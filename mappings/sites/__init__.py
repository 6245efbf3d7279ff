"""What single hospitals do differently in their HL7 v2 feeds: one TOML file a hospital."""
