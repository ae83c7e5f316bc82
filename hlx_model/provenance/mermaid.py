"""The tree of a checkpoint as a Mermaid diagram, from the documents to the checkpoint."""

from hlx_model.provenance.tree import CheckpointNode, Node

_SHAPES = {"document": ("[/", "/]"), "corpus": ("[(", ")]"), "checkpoint": ("[", "]")}


def mermaid(node: Node) -> str:
    """Return a flowchart, which GitHub and others draw. What two nodes have in common is in it once."""
    names: dict[tuple[str, str, str], str] = {}
    lines: dict[str, None] = {}

    def add(one: Node) -> str:
        name = names.setdefault((one.kind, one.name, one.sha256), f"n{len(names)}")
        lines[_box(name, one)] = None
        return name

    def follow(parent: Node) -> None:
        for child in parent.made_from:
            origin = add(child)
            lines[f"  {origin} --> {add(parent)}"] = None
            follow(child)

    follow(node)
    if not lines:
        add(node)
    return "\n".join(["flowchart TD", *lines])


def _box(name: str, node: Node) -> str:
    opening, closing = _SHAPES[node.kind]
    lines = [node.name, f"{node.sha256[:12]}…"]
    if isinstance(node, CheckpointNode):
        verdict = f"verdict: {node.verdict.outcome}" if node.verdict else "not evaluated"
        lines.append(verdict if node.available else "missing")
        if m := node.manifest:
            lines += [f"stopped: {m.stopped}"] if m.stopped else []
            lines += [f"closed gate of {name} ignored (--ungated)" for name in m.ungated]
            lines += [f"resumed by hand from {name}" for name in m.resumed]
    text = "<br/>".join(line.replace('"', "#quot;") for line in lines)
    return f'  {name}{opening}"{text}"{closing}'
