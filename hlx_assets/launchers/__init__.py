"""Where trainings run: on this machine, in several processes, or on a cluster."""
