"""The formats of HLX by their tags.

To add a format, add a member here and a module beside this one that has the member's name in lower case (`lc_r` for
`LC_R`), with a subclass of `Grammar` and an instance of it called `GRAMMAR`. All else follows from these two files:
labels of documents, columns of tables, prompts, gates, and the formats that commands accept.
"""

import enum
import re


class Format(enum.StrEnum):
    """The formats; a member is its tag, as corpora and prompts contain it.

    `Format(label)` also accepts labels as people write them, such as `lc_t`, `LC–R` and `hlxl`.
    """

    HLXL = "HLXL"
    LC_R = "LC-R"
    LC_T = "LC-T"
    LC_B = "LC-B"

    @property
    def spellings(self) -> str:
        """The regular expression of all spellings of the tag, to be matched in any case.

        A hyphen may be missing, a space, an underscore, or what keyboards and word processors make of it.
        """
        return self.replace("-", "[-_ \u2010-\u2014]?")

    @classmethod
    def _missing_(cls, value: object) -> "Format | None":
        if not isinstance(value, str):
            return None
        return next((format for format in cls if re.fullmatch(format.spellings, value, re.IGNORECASE)), None)
