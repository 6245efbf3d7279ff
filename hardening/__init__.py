"""What a release is looked through with: audits of its dependencies and code, its bill of materials."""
