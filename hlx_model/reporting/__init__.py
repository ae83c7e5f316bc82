"""Reports for people: their data model, HTML page, Markdown and plots."""
