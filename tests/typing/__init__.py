"""What a user's type checker says: mypy and pyright read these files; they are not run.

A `type: ignore` stands where a mistake must be found: mypy complains of one that is not needed.
"""
