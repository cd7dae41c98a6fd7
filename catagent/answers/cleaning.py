"""One spelling for what LaTeX, Unicode and plain text spell in many ways.

Everything here is a linear pass over the text: no parsing, no meaning. The reader gets what is left.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["clean", "simplified_text", "unwrapped"]

_INVISIBLE = re.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\x00-\x07\x0e-\x1f]"
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ", "0123456789+-()ni")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋ₙ", "0123456789+-n")
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ]+")
_SUBSCRIPT_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋ₙ]+")
_VULGAR = re.compile(r"(\d*) ?([\u00bc-\u00be\u2150-\u215e])")
_SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": r"\times ", "÷": r"\div ", "·": r"\cdot ",
    "⋅": r"\cdot ",
    "∙": r"\cdot ", "•": r"\cdot ", "∗": "*", "√": r"\sqrt ", "∛": r"\sqrt[3] ", "∞": r"\infty ",
    "≤": r"\le ",
    "⩽": r"\le ", "≦": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≧": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "≡": r"\equiv ", "∪": r"\cup ", "∩": r"\cap ", "∖": r"\setminus ", "∈": r"\in ", "∉": r"\notin ",
    "∅": r"\emptyset ", "⊂": r"\subset ", "⊆": r"\subseteq ", "°": r"^\circ ", "º": r"^\circ ", "±": r"\pm ",
    "∓": r"\mp ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}",
    "ℂ": r"\mathbb{C}", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"', "⟨": r"\langle ", "⟩": r"\rangle ",
    "∧": r"\land ", "∨": r"\lor ", "∑": r"\sum ", "∫": r"\int ", "∏": r"\prod ", "⁄": "/", "∕": "/",
    "…": r"\dots ",
    "→": r"\to ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "％": r"\%", "∣": "|",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "δ": r"\delta ", "ε": r"\epsilon ", "θ": r"\theta ",
    "λ": r"\lambda ", "µ": r"\mu ", "μ": r"\mu ", "π": r"\pi ", "ρ": r"\rho ", "σ": r"\sigma ", "τ": r"\tau ",
    "φ": r"\phi ", "ϕ": r"\phi ", "ω": r"\omega ", "Δ": r"\Delta ", "Ω": r"\Omega ", "ψ": r"\psi ",
    "η": r"\eta ",
}  # fmt: skip
_ROOT = re.compile(r"√ ?(\d+(?:\.\d+)?|[A-Za-z])")
_SYMBOL = re.compile("|".join(map(re.escape, _SYMBOLS)))
_BROKEN_ESCAPES = (
    (re.compile(r"\\?\x0c(?=rac)"), r"\\f"),
    (re.compile(r"\\?\x08(?=oxed|egin|eta|inom|ar\b|f\b)"), r"\\b"),
    (re.compile(r"\\?\t(?=ext|imes|heta|frac|au\b|an\b|o\b)"), r"\\t"),
    (re.compile(r"\\?\r(?=ight|ho\b|angle|floor|ceil)"), r"\\r"),
    (re.compile(r"\\?\x0b(?=ec|ert)"), r"\\v"),
)
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z{}()\[\]%$,;:! ])")
_MATRIX = re.compile(r"\\begin\s*\{|&")
_COMMENT_COMMANDS = re.compile(
    r"\\(?:left|right|middle|bigl|bigr|Bigl|Bigr|biggl|biggr|Biggl|Biggr|big|Big|bigg|Bigg|displaystyle|textstyle"
    r"|scriptstyle|limits|nolimits|quad|qquad|hfill|hspace\*?\s*\{[^{}]*\}|vspace\*?\s*\{[^{}]*\}|phantom\s*\{[^{}]*\}"
    r"|thinspace|medspace|thickspace|enspace|space|nonumber|notag|hline|rm|bf|it|mathstrut|strut)(?![A-Za-z])"
    r"(?:(?<=left)\.|(?<=right)\.)?"
)
_SYNONYMS = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "leq": "le", "leqslant": "le", "geq": "ge",
    "geqslant": "ge",
    "neq": "ne", "lt": "<", "gt": ">", "dbinom": "binom", "tbinom": "binom", "varnothing": "emptyset",
    "smallsetminus": "setminus", "backslash": "setminus", "lbrace": "{", "rbrace": "}", "lbrack": "[",
    "rbrack": "]",
    "lvert": "|", "rvert": "|", "vert": "|", "mid": "|", "ast": "*", "cdots": "dots", "ldots": "dots",
    "degree": "circ", "degrees": "circ", "imath": "i", "wedge": "land", "vee": "lor", "varphi": "phi",
    "varepsilon": "epsilon", "vartheta": "theta", "percent": "%", "colon": ":", "infin": "infty",
    "hbox": "text",
    "mbox": "text", "textbf": "text", "textrm": "text", "textit": "text", "textnormal": "text",
    "textup": "text",
    "texttt": "text", "emph": "text", "mathbf": "mathrm", "mathit": "mathrm", "bm": "mathrm",
    "boldsymbol": "mathrm",
    "mathsf": "mathrm", "mathnormal": "mathrm", "operatorname": "mathrm", "Bbb": "mathbb", "bf": "",
    "textsc": "text",
    "simeq": "approx", "thickapprox": "approx", "doteq": "approx", "implies": "Rightarrow", "tg": "tan",
    "ctg": "cot",
    "arctg": "arctan", "cosec": "csc", "overrightarrow": "vec",
}  # fmt: skip
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_THOUSANDS_LATEX = re.compile(
    r"(?<=\d)(?:\{,\}|,\s*\\!|\\,|\\ |\\!|\\;|\\:|~|\u202f|\u2009)\s*(?=\d{3}(?!\d))"
)
_SPACED_THOUSANDS = re.compile(r"(?<![\d.,/^_}])(\d{1,3})((?: \d{3})+)(?![\d,/])")
_SPACES = re.compile(r"\\[,;:!> ]|~|\s+")
_DELIMITERS = re.compile(r"\\[()\[\]]|(?<!\\)\$\$?")
_LONE_DOLLAR = re.compile(r"(?<!\\)\$(?=\s?[\d.])")
_LEADING_RELATION = re.compile(r"^(?:=|\\approx|\\sim|~|≈)\s*(?=\S)")
_ROW_BREAK = "\ue000"


def simplified_text(text: str) -> str:
    """Unicode in one form: compatibility forms composed, invisible characters removed."""
    if text.isascii():
        for pattern, letter in _BROKEN_ESCAPES:
            text = pattern.sub(letter, text)
        return _INVISIBLE.sub("", text)
    text = _SUPERSCRIPT_RUN.sub(lambda m: "^{" + m[0].translate(_SUPERSCRIPTS) + "}", text)
    text = _SUBSCRIPT_RUN.sub(lambda m: "_{" + m[0].translate(_SUBSCRIPTS) + "}", text)
    text = _VULGAR.sub(_vulgar, text)
    text = _ROOT.sub(r"\\sqrt{\1}", text)
    text = _SYMBOL.sub(lambda m: _SYMBOLS[m[0]], text)
    for pattern, letter in _BROKEN_ESCAPES:
        text = pattern.sub(letter, text)
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).replace("⁄", "/")


def _vulgar(match: re.Match[str]) -> str:
    above, _, below = unicodedata.normalize("NFKC", match[2]).partition("⁄")
    return rf"{match[1]}\frac{{{above}}}{{{below}}}"


def unwrapped(text: str, command: str) -> str:
    r"""The text with every `\command{X}` replaced by `X`; unbalanced braces are left alone."""
    marker = "\\" + command
    if marker not in text:
        return text
    pieces: list[str] = []
    closers: list[bool] = []
    at = 0
    opener = re.compile(re.escape(marker) + r"\s*\{|[{}]|\\.", re.DOTALL)
    for match in opener.finditer(text):
        mark = match[0]
        if mark.startswith(marker):
            pieces.append(text[at : match.start()])
            at = match.end()
            closers.append(True)
        elif mark == "{":
            closers.append(False)
        elif mark == "}" and closers and closers.pop():
            pieces.append(text[at : match.start()])
            at = match.end()
    pieces.append(text[at:])
    return "".join(pieces)


def clean(text: str) -> str:
    """The answer in canonical spelling: delimiters, sizes and spacing gone, synonyms resolved."""
    text = simplified_text(text).strip()
    text = _THOUSANDS_LATEX.sub("", text)
    if "\\" in text or "~" in text:
        if "\\\\" in text and not _MATRIX.search(text):
            text = _DOUBLED.sub(r"\\", text)
        text = text.replace("\\\\", _ROW_BREAK)
        text = unwrapped(text, "boxed")
        text = unwrapped(text, "fbox")
        text = _COMMENT_COMMANDS.sub(" ", text)
        text = _COMMAND.sub(_synonym, text)
    if text.count("$") == 1:
        text = _LONE_DOLLAR.sub(r"\\$", text)
    text = _DELIMITERS.sub(" ", text)
    text = _SPACES.sub(" ", text)
    text = _SPACED_THOUSANDS.sub(lambda m: m[1] + m[2].replace(" ", ""), text)
    text = text.replace("**", "^").replace(_ROW_BREAK, "\\\\")
    text = _LEADING_RELATION.sub("", text.strip())
    while text and text[-1] in ".,;:" and not text.endswith("\\,"):
        text = text[:-1].rstrip()
    return text


def _synonym(match: re.Match[str]) -> str:
    name = _SYNONYMS.get(match[1])
    if name is None:
        return match[0]
    if name in ("", "<", ">", "[", "]", "|", "*", ":", "i"):
        return name + " " if name else " "
    return "\\" + name
