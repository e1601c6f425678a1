"""Mutation tests of the pure cores: `python -m tests.mutation.check`."""
