"""The words and numbers of the composed corpus: what each slot of the grammar can be filled with.

To extend the corpus's vocabulary add a word to a list here; to extend what it can say, add an
operation to a section beside this file. Two rules keep the grammar unambiguous, and
`tests/composer/test_grammar.py` checks both: within a slot no two choices share a value or a word, and an
English word maps to its value regularly (`test data` is `&h_testData`), so that a model can learn the
rule and not the list.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hlx_model.language import Format, Handle, Value, render


@dataclass(frozen=True)
class Choice:
    """One way to fill a slot: a value and how English says it.

    In a phrasing `{n}` gives `words`, and `{n:spelled}` gives `spelled`, which differs for numbers
    only: `42` and `forty-two`.
    """

    value: Value
    words: str
    spelled: str

    def __format__(self, spec: str) -> str:
        return self.spelled if spec == "spelled" else self.words


@dataclass(frozen=True)
class Slot:
    """A named, typed gap in a value template and in its phrasings.

    `unlike` names an earlier slot of the same operation with the same choices: the two are never
    filled alike, since "join users and users" is no sentence anyone would write.
    """

    name: str
    choices: tuple[Choice, ...]
    unlike: str = ""

    def another(self, name: str) -> "Slot":
        """A second slot of the same type, filled differently from this one."""
        return Slot(name, self.choices, unlike=self.name)

    def renamed(self, name: str) -> "Slot":
        """A second slot of the same type, filled independently of this one."""
        return Slot(name, self.choices)

    @property
    def size(self) -> int:
        """In how many ways the slot can be filled once the slots before it are."""
        return len(self.choices) - bool(self.unlike)


_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBER_WORDS = (*_UNITS, *_TENS, "hundred", "thousand")


def spell(number: int | float) -> str:
    """`number` in English words: `forty-two`, `minus ten`, `three point one four`.

    Without "and" ("one hundred five"), so that a list can say "three and five" unambiguously.

    Args:
        number: below 10,000 in magnitude; a float's digits are those of its `repr`, one word each.
    """
    if number < 0:
        return f"minus {spell(-number)}"
    if isinstance(number, float):
        whole, decimals = repr(number).split(".")
        return f"{spell(int(whole))} point {' '.join(_UNITS[int(digit)] for digit in decimals)}"
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        return _TENS[tens - 2] + (f"-{_UNITS[unit]}" if unit else "")
    scale, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    head, rest = divmod(number, scale)
    return f"{_UNITS[head]} {name}" + (f" {spell(rest)}" if rest else "")


def camel_case(words: str) -> str:
    """The identifier that English words name: `test data` is `testData`."""
    first, *others = words.split()
    return first + "".join(word.capitalize() for word in others)


def _numbers(name: str, values: Iterable[int | float]) -> Slot:
    return Slot(name, tuple(Choice(value, repr(value), spell(value)) for value in values))


def _listed(words: str) -> list[str]:
    """The comma-separated parts of `words`."""
    return [part.strip() for part in words.split(",")]


def _strings(name: str, texts: Iterable[str]) -> Slot:
    return Slot(name, tuple(Choice(text, text, text) for text in texts))


def _handles(name: str, words: str) -> Slot:
    """Handles named after the comma-separated `words`, each in camelCase."""
    return Slot(name, tuple(Choice(Handle(camel_case(part)), part, part) for part in _listed(words)))


def _renamed(name: str, words: str) -> Slot:
    """Handles whose name is not the English word itself: `maximum=max, average=avg`."""
    pairs = [part.split("=") for part in _listed(words)]
    return Slot(name, tuple(Choice(Handle(value), word, word) for word, value in pairs))


# Integers are mostly those that people say, as in real documents: each must be met often enough, in digits, spelled
# out and in hexadecimal, to be learned. Every number up to 100 occurs, as an index or an age.
_SAID = (
    *range(13),
    *(15, 16, 18, 20, 21, 24, 25, 30, 32, 36, 40, 42, 45, 48, 50, 60, 64, 70, 75, 80, 90, 99),
    *(100, 120, 128, 150, 200, 250, 255, 256, 300, 400, 500, 512, 600, 800, 900),
    *(1000, 1024, 1500, 2000, 2048, 3000, 4096),
)
N = _numbers("n", _SAID)
COUNT = _numbers("count", (number for number in _SAID if number > 1))
FEW = _numbers("few", (*range(2, 21), *range(30, 101, 10)))
INDEX = _numbers("index", range(101))
AGE = _numbers("age", range(1, 100))
# Where two or three numbers meet, each is drawn from fewer, so that one wrong digit in many is rarer.
A = _numbers("a", (*range(13), 15, 16, 20, 24, 25, *range(30, 101, 10)))
B = A.renamed("b")
C = A.renamed("c")
RED = _numbers("red", (0, 32, 64, 96, 128, 160, 192, 224, 255))
GREEN = RED.renamed("green")
BLUE = RED.renamed("blue")
WIDTH = _numbers("width", (*range(10, 100, 10), *range(100, 1001, 100), 256, 512, 1024))
HEIGHT = WIDTH.renamed("height")
SIZE = _numbers("size", (1, 2, 4, 8, 16, 32, 64, 128, 256))
SIZE_2 = SIZE.renamed("size2")
SIZE_3 = SIZE.renamed("size3")
NEGATIVE = _numbers("negative", (*range(-1, -13, -1), -15, -18, -20, -25, *range(-30, -101, -10)))
NEGATIVE_2 = NEGATIVE.renamed("negative2")
DECIMAL = _numbers(
    "decimal",
    (
        *(tenths / 10 for tenths in range(1, 51)),
        *(hundredths / 100 for hundredths in (1, 2, 5, 15, 25, 35, 75, 99, 125, 175, 314, 275, 999, 1234)),
        12.5, 19.5, 24.5, 36.6, 72.5, 98.6, 99.9, 100.0,
    ),
)  # fmt: skip
BELOW_ZERO = _numbers("below_zero", (*(-halves / 2 for halves in range(1, 20)), -0.1, -0.25, -0.75, -3.14, -36.6))
FRACTION = _numbers("fraction", (*(tenths / 10 for tenths in range(1, 10)), 0.01, 0.02, 0.05, 0.15, 0.25, 0.75))
FRACTION_2 = FRACTION.renamed("fraction2")
FRACTION_3 = FRACTION.renamed("fraction3")

TRUTH = Slot("truth", (Choice(True, "true", "true"), Choice(False, "false", "false")))
SWITCH = Slot("switch", (Choice(True, "on", "on"), Choice(False, "off", "off")))
SWITCH_2 = SWITCH.renamed("switch2")

THINGS = _handles(
    "things",
    """users, orders, files, logs, documents, records, items, events, messages, images, products,
    customers, invoices, payments, tickets, tasks, reports, sessions, devices, servers, sensors,
    articles, comments, books, songs, videos, photos, players, teams, students, courses, accounts,
    emails, alerts, requests, tokens, samples, features, scores, results, entries, nodes, edges,
    tables, rows, metrics, jobs, tags, backups, error logs, test files, sales records, audit events,
    job results, user profiles, sensor readings, chat messages, stock prices, search results""",
)
OTHERS = THINGS.another("others")
# For contracts three deep, which with the longest words would not fit into the context of 256 tokens.
PLAIN_THINGS = Slot("things", tuple(choice for choice in THINGS.choices if " " not in choice.words))
THING = _handles(
    "thing",
    """model, document, record, query, table, image, database, cache, buffer, queue, schema, report,
    session, message, request, response, template, network, folder, stack, tree, graph, matrix,
    vector, catalog, archive, ledger, pipeline, command, script, test data, user list, error log,
    task queue, search index, price list, input form, data stream, access key, event loop""",
)
QUALITY = _handles(
    "quality",
    """active, recent, valid, enabled, new, old, open, closed, pending, failed, hidden, public,
    private, large, small, empty, unread, paid, expired, archived, verified, urgent, local, remote""",
)
KEY = _handles(
    "key",
    """name, age, score, status, date, size, price, title, type, color, rank, level, weight, length,
    priority, category, country, city, owner, version, author, language""",
)
FORMAT = _renamed(
    "format",
    "JSON=json, CSV=csv, XML=xml, YAML=yaml, HTML=html, PDF=pdf, markdown=markdown, base64=base64, "
    "uppercase=uppercase, lowercase=lowercase, plain text=plainText, binary=binary",
)
STATISTIC = _renamed(
    "statistic",
    "sum=sum, average=average, maximum=max, minimum=min, median=median, range=range, variance=variance",
)
DIRECTION = _renamed("direction", "ascending=asc, descending=desc")
PAGE = _handles(
    "page",
    """home, settings, dashboard, profile, search, inbox, calendar, help, billing, account, history,
    login, admin, downloads, news, contact""",
)
PANEL = _handles(
    "panel",
    """terminal, file browser, editor, console, menu, sidebar, toolbar, search panel, task list,
    chat, debugger, inspector, map, player, file manager, color picker""",
)
EDGE = _handles("edge", "top, bottom, left, right")
WAY = _handles("way", "up, down, left, right")
SHADER = _handles(
    "shader",
    """blur, shadow, water, sky, terrain, bloom, fog, glass, metal, skin, cloud, noise, grass, fire,
    smoke, rain""",
)
SHADER_2 = SHADER.another("shader2")
GPU_BUFFER = _handles(
    "buffer",
    """vertex buffer, index buffer, frame buffer, depth buffer, color buffer, uniform buffer,
    storage buffer, staging buffer, output buffer, input buffer, particle buffer, light buffer""",
)
GPU_BUFFER_2 = GPU_BUFFER.another("buffer2")
MODEL = _handles(
    "model",
    """classifier, regressor, encoder, decoder, transformer, detector, tagger, ranker, embedder,
    generator, autoencoder, segmenter, translator, language model, vision model, reward model""",
)
MODEL_2 = MODEL.another("model2")
FUNCTION = _strings(
    "function", _listed("print, max, min, square, round, parse, format, load, store, scale, clean, main")
)
VARIABLE = _strings(
    "variable", _listed("x, y, z, total, counter, result, limit, speed, offset, flag, rate, balance, volume")
)
PARAMETER = _strings("parameter", _listed("input, output, left, right, source, target"))
PARAMETER_2 = PARAMETER.another("parameter2")
CONDITION = _handles("condition", "running, connected, ready, waiting, loading, online, visible, locked")
ACTION = _handles("action", "start, stop, retry, poll, save, skip, wait, exit, reset, continue")
ACTION_2 = ACTION.another("action2")
STAGE = _strings("stage", ("vertex", "fragment", "compute"))
KERNEL = _strings("kernel", _listed("map, reduce, scan, sort, filter, histogram"))
OPERATOR = Slot(
    "operator",
    tuple(
        Choice(value, word, word)
        for word, value in (
            ("plus", "add"),
            ("minus", "subtract"),
            ("times", "multiply"),
            ("divided by", "divide"),
        )
    ),
)
OPERATOR_2 = OPERATOR.renamed("operator2")
COMPARISON = Slot(
    "comparison",
    tuple(
        Choice(value, words, words)
        for words, value in (("greater than", "greater"), ("less than", "less"), ("equal to", "equal"))
    ),
)
DELIMITER = Slot(
    "delimiter",
    tuple(
        Choice(mark, name, name)
        for name, mark in (
            ("comma", ","), ("semicolon", ";"), ("colon", ":"), ("space", " "), ("dash", "-"), ("slash", "/"),
            ("pipe", "|"), ("line break", "\n"), ("tab", "\t"), ("quote", '"'),
        )
    ),
)  # fmt: skip

TEXT = _strings(
    "text",
    _listed(
        """error, warning, pattern, timeout, hello, refund, password, invoice, welcome, goodbye, success,
        failure, draft, final, approved, rejected, overdue, shipped, cancelled, duplicate, missing,
        backup, berlin, paris, tokyo, lisbon, cairo, oslo, winter, summer, monday, friday, hello world,
        not found, access denied, out of memory, good morning, thank you"""
    ),
)
TEXT_2 = TEXT.another("text2")

# Texts with the punctuation of the formats. A sentence gives them as they are, and the formats escape
# the quotes; or, where they need more than that, in quotes and escaped, as every format writes them.
_PAIRS = (
    *(("draft", "note"), ("error", "code"), ("login", "failed"), ("price", "list")),
    *(("disk", "full"), ("left", "right"), ("total", "due"), ("user", "host")),
)
_MARKED_SHAPES = (
    *("[{}] {}", "{{{}}} {}", "{}|{}", "{}: {}", "{}, {}", "{} & {}", "{}@{}", "{} #{}", "{}={}"),
    '{} "{}"',
)
_QUOTED_SHAPES = ("{}\n{}", "{}\t{}", "{}\\{}", '"{}" {}')
MARKED = _strings("marked", (shape.format(*pair) for shape in _MARKED_SHAPES for pair in _PAIRS))
QUOTED = Slot(
    "quoted",
    tuple(
        Choice(text, render(text, Format.HLXL), render(text, Format.HLXL))
        for text in (shape.format(*pair) for shape in _QUOTED_SHAPES for pair in _PAIRS)
    ),
)
PERSON = _strings(
    "person",
    _listed(
        """Alice, Bob, Carol, David, Emma, Frank, Grace, Henry, Iris, Jack, Kate, Leo, Maria, Nina,
        Oscar, Paul, Quinn, Rosa, Sam, Tina, Uma, Victor, Wendy, Zoe"""
    ),
)
PERSON_2 = PERSON.another("person2")
FILE = _strings(
    "file",
    (
        f"{stem}.{extension}"
        for stem in _listed("config, report, data, output, notes, summary, index, export, log, results, users")
        for extension in ("json", "csv", "txt", "yaml", "log")
    ),
)
PICTURE = _strings(
    "picture",
    (
        f"{stem}.{extension}"
        for stem in ("wood", "stone", "sand", "brick", "water", "cloud")
        for extension in ("png", "jpg")
    ),
)
WEIGHTS = _strings(
    "weights",
    (
        f"{stem}.{extension}"
        for stem in ("checkpoint", "weights", "best", "final", "model", "latest")
        for extension in ("pt", "bin", "onnx")
    ),
)
RAW = Slot(
    "raw",
    tuple(
        Choice(word.encode("ascii"), word, word)
        for word in _listed(
            "data, ping, pong, head, tail, start, stop, ack, key, seed, hash, salt, code, node, root, leaf"
        )
    ),
)
