"""Operations within operations: contracts that hold contracts, lists that hold either."""

from hlx_model.composer.grammar.lexicon import (
    ACTION,
    ACTION_2,
    COMPARISON,
    CONDITION,
    FEW,
    FILE,
    FORMAT,
    FRACTION,
    FUNCTION,
    KEY,
    MODEL,
    OPERATOR,
    OPERATOR_2,
    PAGE,
    PANEL,
    PERSON,
    PERSON_2,
    PLAIN_THINGS,
    QUALITY,
    STATISTIC,
    TEXT,
    THINGS,
    VARIABLE,
    A,
    B,
    C,
    N,
)
from hlx_model.composer.grammar.templates import (
    call,
    form,
    keyed,
    row,
    section,
)

_FILTERED = call("filter", THINGS, QUALITY)
_PLAIN_FILTERED = call("filter", PLAIN_THINGS, QUALITY)
_VARIABLE = form(102, VARIABLE)

NESTED = section(
    "Nested operations",
    row(
        call("limit", call("sort", THINGS, KEY), FEW),
        "Sort {things} by {key} and keep the first {few:spelled}",
        "Sort {things} by {key} and take {few}",
    ),
    row(
        call("limit", _FILTERED, FEW),
        "Keep the first {few:spelled} {quality} {things}",
        "Take {few} {quality} {things}",
    ),
    row(
        call("sort", _FILTERED, KEY),
        "Sort the {quality} {things} by {key}",
        "Order {quality} {things} by {key}",
    ),
    row(
        call("limit", call("sort", _PLAIN_FILTERED, KEY), FEW),
        "Sort the {quality} {things} by {key} and keep the first {few:spelled}",
        "Sort the {quality} {things} by {key} and take {few}",
    ),
    row(call("count", _FILTERED), "Count the {quality} {things}", "How many {quality} {things} are there"),
    row(
        call("write", FILE, call("transform", THINGS, FORMAT)),
        "Convert {things} to {format} and save to {file}",
        "Save {things} as {format} in {file}",
    ),
    row(
        call("write", FILE, _FILTERED),
        "Write {quality} {things} to {file}",
        "Save the {quality} {things} in {file}",
    ),
    row(
        call("send", _FILTERED, PERSON),
        "Send {quality} {things} to {person}",
        "Mail {person} the {quality} {things}",
    ),
    row(
        call("aggregate", STATISTIC, _FILTERED),
        "Calculate the {statistic} of {quality} {things}",
        "Get the {statistic} of the {quality} {things}",
    ),
    row(
        [call("open", PANEL), call("navigate", PAGE)],
        "Open the {panel} and go to {page}",
        "First open the {panel} then go to {page}",
    ),
    row(
        [call("wait", FEW), call("refresh", PAGE)],
        "Wait {few} seconds and refresh {page}",
        "First wait {few:spelled} seconds then refresh {page}",
    ),
    row(
        form(100, FUNCTION, [form(103, VARIABLE, N)]),
        "Code block {function} that sets {variable} to {n}",
        "Code block {function} that assigns {n:spelled} to {variable}",
    ),
    row(
        form(106, form(101, COMPARISON, _VARIABLE, N), ACTION, ACTION_2),
        "If {variable} is {comparison} {n} then {action} else {action2}",
        "When {variable} is {comparison} {n:spelled} do {action} otherwise {action2}",
    ),
    row(
        form(107, form(101, COMPARISON, _VARIABLE, N), ACTION),
        "While {variable} is {comparison} {n} do {action}",
        "Loop {action} while {variable} is {comparison} {n:spelled}",
    ),
    row(
        form(103, VARIABLE, form(101, OPERATOR, A, B)),
        "Assign {a} {operator} {b} to {variable}",
        "Let {variable} be {a:spelled} {operator} {b:spelled}",
    ),
    row(
        form(101, OPERATOR, form(101, OPERATOR_2, A, B), C),
        "Compute {a} {operator2} {b} and then {operator} {c}",
        "Take {a:spelled} {operator2} {b:spelled} and then {operator} {c:spelled}",
    ),
    row(
        call("train", MODEL, THINGS, keyed(("epochs", FEW), ("rate", FRACTION))),
        "Train the {model} on {things} with {few} epochs and rate {fraction}",
        "Fit the {model} to {things} with {few:spelled} epochs and rate {fraction:spelled}",
    ),
    row(
        [[A, B], [C]],
        "List of list {a}, {b} and list {c}",
        "Nested list of {a:spelled}, {b:spelled} and then {c:spelled}",
    ),
    row(
        keyed(("name", PERSON), ("scores", [A, B])),
        "{person} with scores {a} and {b}",
        "Scores {a:spelled} and {b:spelled} of {person}",
    ),
    row(
        [keyed(("name", PERSON)), keyed(("name", PERSON_2))],
        "List of users {person} and {person2}",
        "Users {person} and {person2}",
    ),
    row(
        call("search", _FILTERED, TEXT),
        "Search the {quality} {things} for {text}",
        "Find {text} in the {quality} {things}",
    ),
    row(
        call("count", call("search", THINGS, TEXT)),
        "Count the {things} about {text}",
        "How many {things} are about {text}",
    ),
    row(
        call("group", _FILTERED, KEY),
        "Group the {quality} {things} by {key}",
        "Group {quality} {things} by their {key}",
    ),
    row(
        call("count", call("unique", _FILTERED)),
        "Count the unique {quality} {things}",
        "How many unique {quality} {things} are there",
    ),
    row(
        call("send", call("reverse", _PLAIN_FILTERED), PERSON),
        "Send the {quality} {things} in reverse to {person}",
        "Reverse the {quality} {things} and send them to {person}",
    ),
    row(
        form(100, FUNCTION, [form(103, VARIABLE, form(101, OPERATOR, A, B))]),
        "Code block {function} that sets {variable} to {a} {operator} {b}",
        "Code block {function} that assigns {a:spelled} {operator} {b:spelled} to {variable}",
    ),
    row(
        call("send", call("read", FILE), PERSON),
        "Read {file} and send it to {person}",
        "Send the contents of {file} to {person}",
    ),
    row(
        form(107, CONDITION, call("process", THINGS)),
        "While {condition} process the {things}",
        "Process the {things} while {condition}",
    ),
    row(
        form(103, VARIABLE, call("search", THINGS)),
        "Let {variable} be the search for {things}",
        "Assign the search for {things} to {variable}",
    ),
)
