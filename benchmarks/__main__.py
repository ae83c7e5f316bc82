"""`make bench ARGS=training` runs a benchmark, or several by name; without a name it lists them."""

import sys

from benchmarks import (
    center_clients,
    center_kills,
    corpus,
    first_step,
    gates,
    generation,
    gpu_curriculum,
    history,
    kill_matrix,
    load,
    processes,
    serving,
    size,
    skill,
    storage,
    training,
)

ALL = {
    "corpus": corpus.main,
    "first_step": first_step.main,
    "training": training.main,
    "generation": generation.main,
    "serving": serving.main,
    "skill": skill.main,
    "kill_matrix": kill_matrix.main,
    "gpu_curriculum": gpu_curriculum.main,
    "gates": gates.main,
    "history": history.main,
    "size": size.main,
    "load": load.main,
    "storage": storage.main,
    "center_kills": center_kills.main,
    "center_clients": center_clients.main,
    "processes": processes.main,
}

if __name__ == "__main__":
    names = sys.argv[1:]
    if unknown := [name for name in names if name not in ALL]:
        sys.exit(f"error: no benchmark {unknown[0]!r}: choose from {', '.join(ALL)}")
    for name in names:
        ALL[name]()
    if not names:
        for name, main in ALL.items():
            about = (sys.modules[main.__module__].__doc__ or "").strip().splitlines()[0]
            sys.stdout.write(f"{name:15} {about}\n")
