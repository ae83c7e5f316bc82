"""`make bench`: every benchmark in turn. `make bench ARGS=training` runs one."""

import sys

from benchmarks import corpus, generation, gpu_curriculum, kill_matrix, skill, training

ALL = {
    "corpus": corpus.main,
    "training": training.main,
    "generation": generation.main,
    "skill": skill.main,
    "kill_matrix": kill_matrix.main,
    "gpu_curriculum": gpu_curriculum.main,
}

if __name__ == "__main__":
    names = sys.argv[1:] or list(ALL)
    for name in names:
        if name not in ALL:
            sys.exit(f"error: no benchmark {name!r}: choose from {', '.join(ALL)}")
        ALL[name]()
