"""A checkpoint as a folder to publish: model card, provenance statement, signature."""
