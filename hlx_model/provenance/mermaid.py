"""The tree of a checkpoint as a Mermaid diagram, from the documents to the checkpoint."""

from hlx_model.provenance.tree import CheckpointNode, Node

_SHAPES = {"document": ("[/", "/]"), "corpus": ("[(", ")]"), "checkpoint": ("[", "]")}


def mermaid(node: Node) -> str:
    """Return a flowchart, which GitHub and others draw. What two nodes have in common is in it once."""
    names: dict[tuple[str, str, str], str] = {}
    for one in node.walk():
        names.setdefault(_key(one), f"n{len(names)}")
    boxes = dict.fromkeys(_box(names[_key(one)], one) for one in node.walk())
    links = [(names[_key(origin)], names[_key(one)]) for one in node.walk() for origin in one.made_from]
    arrows = dict.fromkeys(f"  {origin} --> {one}" for origin, one in links)
    return "\n".join(["flowchart TD", *boxes, *arrows])


def _key(node: Node) -> tuple[str, str, str]:
    return node.kind, node.name, node.sha256


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
