"""From an answer of the teacher to a document, or the reason why not."""

import re
from collections import Counter, defaultdict

from . import thread

PLAIN = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'", "—": "--", "–": "-", "‑": "-"}
    | {"−": "-", "…": "...", "\u00a0": " ", "\u202f": " ", "\u200b": "", "\ufeff": "", "`": "'", "´": "'", "\t": " "}
)
CHARACTERS = re.compile(r"^[\n -~éèêëàâäáãåçñöôóòøüûúùïîíìæœÉÀÖÜÄß°]*$")
META = re.compile(
    r"\b(here('s| is) (the|a|my|your|an) (letter|story|poem|short|simple|scene|revised|description|example)|hesitate to"
    r"|as an ai|language model|smollm|hugging ?face|assistant|chatbot|word count|feel free|let me know|your name|insert"
    r"|the prompt|the reader|readers|narrat\w+|protagonists?|the author|the passage|the sentence|the characters?"
    r"|(this|the) (story|poem|tale|essay|scene|text|dialogue|fable) (is|was|shows?|tells|teaches|explores|captures"
    r"|reminds|begins|ends|follows|takes|highlights|reflects|serves|uses|opens|revolves|continues)|in this (story"
    r"|poem|tale|scene)"
    r"|climax|setting:|characters?:|scene \d|act [iv\d]+|chapter|fade (in|out)|subject:|note:|moral:|title:|genre"
    r"|metaphor"
    r"|symboli[sz]\w*|i can't (assist|help|write)|i cannot (assist|write|provide)|happy to help|the user|paragraph"
    r"|rewrit\w+|revis\w+|example:|step \d+:|http|www|copyright|\.com)\b|\[|\]|\{|\}|<|>|\\|\||@|#|={2,}|_{2,}|\*",
    re.I,
)
ADULT = re.compile(
    r"\b(sex\w*|nud(e|ity)|naked|porn\w*|erotic\w*|orgasm\w*|penis|vagina|breasts?|nipples?|lust\w*|seduc\w*|rape\w*"
    r"|whore\w*"
    r"|slut\w*|bitch\w*|fuck\w*|shit\w*|cunt\w*|dick|bastard\w*|damn\w*|asshole|nigg\w*|negro\w*|faggot\w*|retard\w*"
    r"|kike\w*"
    r"|gyps(y|ies)|savages?|squaw\w*|injun\w*|chink\w*|japs?|suicid\w*|kill(ed|ing|er|s)?|self-harm|cocaine|heroin"
    r"|marijuana"
    r"|drugs?|terroris\w*|hitler|nazi\w*|holocaust|trump|biden|obama|covid\w*|pandemic|abus\w*|murder\w*|corpses?"
    r"|blood\w*|gore"
    r"|tortur\w*|kidnap\w*|rapist|molest\w*|slaves?|slavery|drunk\w*|guns?|bomb\w*|hang(ed|ing) (him|her)self)\b",
    re.I,
)
# What the teacher says too often, whatever it is about.
STOCK = re.compile(
    r"\b(testament to|tapestr\w+|beacon of|bustling|nestled|whimsical\w*|kaleidoscop\w*|symphony|couldn't help but"
    r"|could not help but|little did \w+ know|newfound|profound\w*|resonat\w*|embark\w*|ethereal|otherworldly"
    r"|mesmeri[sz]\w*"
    r"|vibrant|intricate\w*|unwavering|resilien\w*|empower\w*|delv\w+|navigat\w*|the power of|a mix(ture)? of|realm"
    r"|elara"
    r"|barely above a whisper|hung heavy|sen(t|ding) shivers|stark contrast|heart pounding|intrigu\w+|transformative"
    r"|solace|shimmering|dappled|waft\w+|envelop\w+|unbeknownst|inner (strength|peace|self)|self-discovery|eldrador"
    r"|mystical"
    r"|legacy|innovat\w*|sustainab\w*|impact\w*|furthermore|moreover|additionally|in conclusion|overall|ultimately"
    r"|warm smile|eyes? sparkl\w+|sparkling eyes|twinkl\w+ in (his|her|their) eyes?|soft glow|(strange"
    r"|mysterious) energy"
    r"|ancient wisdom|magical (world|land|forest)|journey of|true meaning|(valuable|important) lesson|a sense of"
    r"|reminder (of|that)|filled with (joy|wonder|awe)|heart swell\w*|emotional\w*|creativity|career|social media"
    r"|very (essence|fabric)|endless possibilities|hustle and|gentle whisper|twilight's hush|the hush of"
    r"|cast(ing)? (a|an|long|its)"
    r"|dance[sd]? (across|through|in|with)|symphon\w+|unassuming|figure emerged|got the better of|eyes crinkl\w+"
    r"|swig|mirror of"
    r"|internet|website|email|video games?|smartphone|technology)\b",
    re.I,
)
# What does not belong in a story for everybody.
UNFIT = re.compile(
    r"\b(beer|wine|whisky|alcohol|heart attack|cancer|divorc\w*|pregnan\w*|surgery|therap\w*|girlfriend|boyfriend"
    r"|kiss\w*"
    r"|died|dead|deaths?|dying|passed away|funeral|war|wars|weapons?|widowers?|injur\w*|diseases?|hospitals?|poison\w*"
    r"|lovers?|making love|made love|in love with|seductive|bikini|cleavage|god damn|hell)\b",
    re.I,
)
# The language of offices and advertisements: once in a text is enough.
BLAND = re.compile(
    r"\b(business\w*|compan(y|ies)|customers?|events?|projects?|teams?|goals?|support\w*|appreciat\w*|generosity"
    r"|blessed"
    r"|express|local|café|restaurants?|cars?|phones?|guys|buddy|awesome|endeavors?|possibilit\w+"
    r"|humanity|society|individuals?|various|combination|symbol|popular|features?|provid\w+|ensur\w+|process|style"
    r"|design\w*"
    r"|importance|overwhelm\w*|impress\w*|talented|expert\w*|professional\w*|spent (his|her|their) days)\b",
    re.I,
)
BLAND_ALLOWED = 1
TWICE = re.compile(r"\b(\w{3,}),? and \1\b", re.I)
# What it says often: a few times in a text are enough.
WORN = re.compile(
    r"\b(communit\w+|sanctuary|potential|perspectives?|passion\w*|unique\w*|diverse|environment\w*|significan\w*"
    r"|essential"
    r"|crucial|not only|glow\w* with|mysterious|enchant\w+|adventures? together|from that day (on|forward)|word spread"
    r"|cherish\w*|determination|determined to|challenges?|opportunit\w+|experiences?|emotions?|inspir\w+|creativ\w+"
    r"|magical"
    r"|beautiful\w*|delicious|wonderful|amazing|incredible|special|deep breath"
    r"|journey|curiosity|excitement|grateful|gratitude|made a difference|imagine)\b",
    re.I,
)
PREAMBLE = re.compile(
    r"^(here('s| is| are)|sure|certainly|of course,? here|absolutely[,!]|title\b|i('d| would) be (happy|glad)"
    r"|okay[,!]|as an "
    r"|i'm (sorry|unable)|a (short )?(story|poem|letter|description)( about[^.]*)?:)",
    re.I,
)
ENDING_LINE = re.compile(r"\n+(the end\.?|end\.?|\(end\)|\(?\d+ words\)?)$", re.I)
CLOSING = re.compile(
    r"(?im)^(love|with (all my )?love|much love|best|best wishes|best regards|kind regards|warm(est|ly)?( regards"
    r"| wishes)?"
    r"|regards|sincerely|yours[^\n]{0,25}|your (loving |dear |old )?(friend|son|daughter|brother|sister|uncle|aunt"
    r"|mother"
    r"|father|grand\w+|cousin|nephew|niece)|sincerely yours|affectionately)[,.]?[ \t]*$(\n+[^\n]{2,30}$)?"
)
SENTENCE = re.compile(r"[^.!?]+[.!?]+[\"')]*\s*")
WORD = re.compile(r"[A-Za-z']+")
COMMON = set(
    """a an the and but or so of to in on at by for with from into out up down over as if it its he she they we you i
    his her their my our your him them me us is was are were be been had has have do did does not no that this these
    those there then when where who what which how all any some one would could will can said""".split()
)
LEAST_WORDS = defaultdict(lambda: 60, poem=24, dialogue=45, letter=45, description=45)
MOST_WORDS = defaultdict(lambda: 230, poem=120, letter=200, description=190)
WORN_ALLOWED = defaultdict(lambda: 3)


def clean(kind: str, head: str, beginning: str, answer: str) -> str:
    """The answer without markup, preamble and closing remarks; "" if nothing is left of it."""
    text = (beginning + answer).translate(PLAIN).replace("\r", "")
    text = re.sub(r"\*\*|__|(?m:^#+ *)|(?m:^[-=*_ ]{3,}$)", "", text)
    text = re.sub(r"(?<!\w)\*([^*\n]{1,60})\*(?!\w)", r"\1", text)
    text = re.sub(r"[ \t]+(?=\n)", "", text).strip()
    if not beginning:
        text = without_preamble(text)
    if kind == "poem":
        text = re.sub(r"(?m)^\d+\. *|^(verse|stanza|chorus)[^\n]{0,12}:? *$", "", text, flags=re.I)
    text = ENDING_LINE.sub("", re.sub(r"\n{3,}", "\n\n", text).strip()).strip()
    if kind not in ("poem", "letter"):
        text = re.sub(r"(?<!\n)\n(?!\n)", "\n\n", text)
    return text


def signed(text: str, writer: str) -> str:
    """A letter up to its closing or its writer's name; "" without one."""
    name = re.compile(rf"(?m)^(your |yours, )?{re.escape(writer)}[,.]?$") if writer else CLOSING
    ends = [match.end() for pattern in (CLOSING, name) if (match := pattern.search(text)) and match.start() > 80]
    return text[: min(ends)].strip().rstrip(",") if ends else ""


def without_preamble(text: str) -> str:
    while "\n\n" in text:
        first, rest = text.split("\n\n", 1)
        is_title = len(first) < 90 and "\n" not in first and not re.search(r"[.!?,;\"']$", first)
        if not is_title and not (PREAMBLE.match(first) and len(first) < 250):
            break
        text = rest.strip()
    return "" if PREAMBLE.match(text) else text


def form(kind: str, text: str) -> str:
    """What is wrong with the form of a text, or ""."""
    if not CHARACTERS.match(text):
        return "characters"
    lines = text.split("\n")
    if kind in ("poem",):
        return "verse" if len(lines) < 6 or max(map(len, lines)) > 80 else ""
    if any(re.match(r"\s*([-*]|\d+[.)])\s", line) for line in lines):
        return "list"
    if kind != "letter" and any(re.match(r"[A-Z][\w .']{0,24}: ", line) for line in lines):
        return "script"
    if kind == "letter":
        return "" if text.count("\n\n") and len(lines[-1]) < 40 else "letter"
    if not re.search(r"[.!?][\"')]*$", text):
        return "no end"
    if text.count('"') % 2:
        return "quotes"
    if kind == "dialogue" and text.count('"') < 6:
        return "no dialogue"
    sentences = [s.strip() for s in SENTENCE.findall(text)]
    if len(sentences) < (3 if kind == "description" else 4) or not 4 <= len(text.split()) / len(sentences) <= 30:
        return "sentences"
    twice = Counter(s.lower() for s in sentences if len(s) > 18)
    if max(twice.values(), default=0) > 1:
        return "sentence twice"
    starts = Counter(" ".join(WORD.findall(s.lower())[:3]) for s in sentences if len(s.split()) > 3)
    if max(starts.values(), default=0) > max(2, 0.25 * len(sentences)):
        return "same beginnings"
    firsts = Counter(s.split()[0].lower() for s in sentences)
    return "same beginnings" if firsts.most_common(1)[0][1] > max(4, 0.75 * len(sentences)) else ""


def wording(kind: str, text: str) -> str:
    """What is wrong with the words of a text, or ""."""
    if META.search(text):
        return "meta"
    if ADULT.search(text) or UNFIT.search(text):
        return "unfit"
    words = [x.lower() for x in WORD.findall(text)]
    n = len(words)
    if n < LEAST_WORDS[kind]:
        return "short"
    if n > MOST_WORDS[kind]:
        return "long"
    if STOCK.search(text) or len(WORN.findall(text)) > WORN_ALLOWED[kind] or len(BLAND.findall(text)) > BLAND_ALLOWED:
        return "stock phrases"
    if TWICE.search(text) or text.lower().count("one day") > 1:
        return "repeats"
    fours = Counter(zip(words, words[1:], words[2:], words[3:], strict=False))
    if sum(v - 1 for v in fours.values()) > (0.08 if kind != "poem" else 0.16) * n:
        return "repeats"
    if max(Counter(zip(words, words[1:], words[2:], strict=False)).values()) > (4 if kind != "poem" else 6):
        return "repeats"
    if len(set(words)) < (0.49 if n < 120 else 0.46) * n:
        return "few words"
    named = {name.lower() for _, name in thread.names_in(text)}
    content = Counter(x for x in words if x not in COMMON and x not in named and len(x) > 3)
    return "one word" if max(content.values(), default=0) > (5 if n < 160 else 6) else ""


def returns(text: str) -> bool:
    """Whether what the beginning speaks of comes back near the end."""

    def stems(part):
        return {x.lower()[:5] for x in WORD.findall(part) if len(x) > 2 and x.lower() not in COMMON}

    return len(stems(text[: max(160, len(text) // 4)]) & stems(text[int(len(text) * 0.62) :])) >= 2


def judge(prompt: dict, answer: str, ended: bool) -> tuple[str, str]:
    """The document that an answer makes, and "kept"; or "" and the reason why not."""
    kind, head, beginning = prompt["kind"], prompt["head"], prompt["beginning"]
    text = clean(kind, head, beginning, answer)
    if kind == "letter":
        text = signed(text, prompt["cast"][-1]["name"] if prompt["cast"] else "")
        if not text:
            return "", "not signed"
    elif not ended:
        return "", "did not end"
    reason = ("empty" if not text else "") or form(kind, text) or wording(kind, text)
    if not reason and kind in ("story", "dialogue"):
        reason = thread.broken(text, beginning, prompt["cast"], prompt["first_person"])
        if not reason and not prompt["cast"] and not returns(text):
            reason = "no thread"
    return ("", reason) if reason else (head + text, "kept")
