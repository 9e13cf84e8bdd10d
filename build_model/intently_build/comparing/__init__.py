"""`intently-build compare` and `choose`: one model in every format that a GPU runs, measured, and one named."""
