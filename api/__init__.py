"""The API toolkit shared by all apps."""
