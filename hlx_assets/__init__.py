"""The HLX curriculum as a Dagster asset graph: it names, wires and reports; `hlx_model` does the work."""
