"""A checkpoint as a folder for others: export, model card, provenance statement, signature and their verification."""
