"""The API toolkit shared by all apps."""

# Of the API, and of the release: see "API versions" in docs/api.md.
VERSION = "1.0.0"
