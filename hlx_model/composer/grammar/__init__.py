"""The grammar of the composed corpus: a table of operations, each with its sentences.

An operation is a section, a value template with typed slots, and two to four English phrasings of
it. The composer fills the slots; the phrasing decides how a number is written (`{n}` gives `42`,
`{n:spelled}` gives `forty-two`).

The sections are the eight of the corpora that people write, from primitives to control flow, and two
more: contracts of literals, and contracts within contracts. To extend the corpus add a row to a
section, in the module beside this one that has its name. Every row must keep three promises, which
`tests/composer/test_grammar.py` checks for the whole table:

- each phrasing uses every slot, so the sentence determines the value;
- no sentence of one row can be read as another row's, so translation into HLX has one right answer;
- no two rows give the same value, so the sentences of a value are the phrasings of its row.

What a composition holds of numbers, awkward strings and nesting follows from the rows, since every
row of a section is dealt as often as another; `tests/composer/test_sampling.py` measures the shares.
"""

from hlx_model.composer.grammar.commands import BASIC, NAVIGATION, QUERIES
from hlx_model.composer.grammar.data import DATA_STRUCTURES, LITERALS, PRIMITIVES
from hlx_model.composer.grammar.nested import NESTED
from hlx_model.composer.grammar.programs import EXPRESSIONS, GPU, MACHINE_LEARNING
from hlx_model.composer.grammar.templates import Operation

OPERATIONS: tuple[Operation, ...] = (
    *PRIMITIVES,
    *BASIC,
    *NAVIGATION,
    *DATA_STRUCTURES,
    *LITERALS,
    *QUERIES,
    *GPU,
    *MACHINE_LEARNING,
    *EXPRESSIONS,
    *NESTED,
)
