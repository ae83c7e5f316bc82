"""The tree of a checkpoint as a Mermaid diagram: from the documents to what was made from them."""

from collections.abc import Iterator

from hlx_model.provenance.tree import Node

_SHAPES = {"document": ("[/", "/]"), "corpus": ("[(", ")]"), "checkpoint": ("[", "]")}


def mermaid(node: Node) -> str:
    """A flowchart that GitHub and others draw; what two have in common stands in it once."""
    names: dict[tuple[str, str, str | None], str] = {}
    lines: dict[str, None] = {}
    for parent, child in _edges(node):
        for one in (child, parent):
            key = one.kind, one.name, one.sha256
            if key not in names:
                names[key] = f"n{len(names)}"
                lines[_box(names[key], one)] = None
        ends = [names[one.kind, one.name, one.sha256] for one in (child, parent)]
        lines[f"  {ends[0]} --> {ends[1]}"] = None
    if not lines:
        lines[_box("n0", node)] = None
    return "\n".join(["flowchart TD", *lines])


def _edges(node: Node) -> Iterator[tuple[Node, Node]]:
    for child in node.made_from:
        yield node, child
        yield from _edges(child)


def _box(name: str, node: Node) -> str:
    opening, closing = _SHAPES[node.kind]
    f = node.facts
    lines = [node.name, f"{(node.sha256 or '')[:12]}…"]
    if node.kind == "checkpoint":
        judged = f"verdict: {f['verdict']['outcome']}" if f.get("verdict") else "never judged"
        lines.append(judged if f["at_hand"] else "not at hand")
        lines += [f"stopped: {f['stopped']}"] if f.get("stopped") else []
        lines += [f"{name} passed over (--ungated)" for name in f.get("ungated", ())]
        lines += [f"resumed by hand from {name}" for name in f.get("resumed", ())]
    text = "<br/>".join(line.replace('"', "#quot;") for line in lines)
    return f'  {name}{opening}"{text}"{closing}'
