"""The `catagent` command."""
