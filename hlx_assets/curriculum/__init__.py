"""The three phases: each trains its checkpoint in a child process, from the checkpoint of the phase before."""
