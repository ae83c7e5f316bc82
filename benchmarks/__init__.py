"""Scripts that print a table, compared with something else in the same run; they assert nothing about seconds."""
