"""Whether a text keeps to its people: the names of its prompt recur and no new ones come late, pronouns agree with
whom they can mean, and the narrator stays the same."""

import re
from collections import Counter

from . import words as w

FEMALE_WORD = re.compile(
    r"\b(girls?|wom[ae]n|mother|mama|mom|mum|mommy|mummy|sisters?|aunt|grandma|grandmother|granny|queen|princess"
    r"|witch|lady"
    r"|ladies|daughters?|wife|widow|mrs|miss|nurse|maid|fairy|mermaid|goddess|niece|hen|cow|milkmaid|dressmaker|madam)\b",
    re.I,
)
MALE_WORD = re.compile(
    r"\b(boys?|m[ae]n|father|papa|dad|daddy|brothers?|uncle|grandpa|grandfather|king|prince|wizard|lord|gentleman|sons?"
    r"|husband|mr|sir|lad|fellow|knight|rooster|nephew|butler|fisherman|woodcutter|god|sailor|soldier|captain)\b",
    re.I,
)
SHE = re.compile(r"\b(she|her|hers|herself)\b", re.I)
HE = re.compile(r"\b(he|him|his|himself)\b", re.I)
I = re.compile(r"\b(I|me|my|mine|myself|I'm|I'd|I've|I'll)\b")  # noqa: E741
QUOTED = re.compile(r'"[^"]*"')
WORD = re.compile(r"[A-Za-z][A-Za-z']*")
PAST = re.compile(
    r"\b(was|were|had|did|said|went|came|could|would|asked|looked|felt|knew|saw|took|found|began)\b", re.I
)
PRESENT = re.compile(
    r"\b(is|are|has|does|says|goes|comes|can|will|asks|looks|feels|knows|sees|takes|finds|begins)\b", re.I
)
NO_NAMES = set(
    """I I'm I'd I've I'll Mr Mrs Miss Dr God Christmas Sunday Monday Tuesday Wednesday Thursday Friday Saturday January
    February March April May June July August September October November December English French German Mother Father
    Mama Papa Mom Mum Dad Grandma Grandpa Grandmother Grandfather Granny Aunt Uncle Sir Madam Captain Doctor Professor
    Sister Brother Lord Lady King Queen Prince Princess Easter Europe England London Paris Earth Moon Sun""".split()
)
GIRLS, BOYS = set(w.GIRLS), set(w.BOYS)
FIRST_NAMES = GIRLS | BOYS | set(w.OTHERS) | set(w.PETS)
# Names that are words as well.
AMBIGUOUS = set(
    """Rose Will Max Grace Daisy Pearl Iris Olive Lily Ruby Willow Robin Wren Fern Flora Kit Mark Bean Berry Button
    Moss Patch Ginger Pepper Hazel Clover Acorn Pebble Dusty Rusty Snowy Fudge Socks Biscuit Barley Thistle
    Bramble Nutmeg Tim Bob Aurora Luna Jasper Charlie Whiskers Viola Ned Smudge Midge Tansy Tuppence""".split()
)


# Who acts at the beginning of a sentence is a name, unless it is one of these.
ACTS = re.compile(
    r" (said|says|smiled|looked|was|had|asked|replied|nodded|laughed|took|went|turned|felt|knew|found|ran|sat|told"
    r"|came|gave"
    r"|and [A-Z])\b"
)
SUBJECTS = set(
    """I He She It They We You The This That These Those There Here Everyone Everybody Nobody Someone Somebody
    Everything Nothing Something One Two Three All Both Each Some Many Most Another Others What Who Which Whoever
    Such People Children Night Morning Evening Day Winter Summer Spring Autumn Rain Snow Mother Father Then Inside
    Outside Life Time Love Only Neither Either None Few Several No Never Now And But So Yet Not Just Even Still
    Today Tomorrow""".split()
)


def names_in(text: str) -> list[tuple[int, str]]:
    """Capitalized words that are names, with where they stand: those inside a sentence, and known first names."""
    found = []
    for match in WORD.finditer(text):
        word = match.group()
        name = word.removesuffix("'s").rstrip("'")
        if not name[:1].isupper() or name in NO_NAMES or len(name) < 2 or name.isupper() and len(name) > 3:
            continue
        before = text[: match.start()].rstrip(" ")
        begins = not before or before[-1] in '.!?"\n:;-(' or before.endswith("'")
        acts = begins and name not in SUBJECTS and ACTS.match(text, match.end())
        if not begins or acts or (name in FIRST_NAMES and name not in AMBIGUOUS):
            found.append((match.start(), name))
    return found


def cast_words(cast: list[dict], beginning: str) -> set[str]:
    """The names of the cast, and those that the beginning brings in."""
    words = {word for person in cast for word in WORD.findall(person["name"])}
    return words | {name for _, name in names_in(beginning)}


def genders(cast: list[dict], text: str) -> tuple[bool, bool]:
    """Whether somebody in the text can be `she`, and `he`."""
    female = any(p["gender"] == "f" for p in cast) or bool(FEMALE_WORD.search(text))
    male = any(p["gender"] == "m" for p in cast) or bool(MALE_WORD.search(text))
    for _, name in names_in(text):
        female = female or name in GIRLS
        male = male or name in BOYS
    return female, male


def person_and_tense(told: str, first_person: bool) -> str:
    if not first_person and len(I.findall(told)) > 0:
        return "narrator"
    if first_person and len(I.findall(told)) < 2:
        return "narrator"
    past, present = len(PAST.findall(told)), len(PRESENT.findall(told))
    if min(past, present) > 0.2 * (past + present) and min(past, present) > 1:
        return "tense"
    return ""


def broken(text: str, beginning: str, cast: list[dict], first_person: bool) -> str:
    """Why the thread of a story is lost, or "" if it holds."""
    told = QUOTED.sub(' "" ', text)
    if reason := person_and_tense(told, first_person):
        return reason
    known = cast_words(cast, beginning)
    names = names_in(text)
    counts = Counter(name for _, name in names)
    new = [name for name in counts if name not in known]
    if cast and not known and new:
        return "new names"
    if len(new) > (1 if known else 2):
        return "new names"
    for name in new:  # one more may come, early, and must come again
        first = next(at for at, other in names if other == name)
        if first > 0.45 * len(text) or counts[name] < 2 or name in w.OTHERS:
            return "new names"
    if len(cast) > 0 and not first_person:
        missing = [p for p in cast if p["name"] not in text and p["name"].split()[-1] not in text]
        if missing:
            return "nobody of the cast"
    # Who the text begins with comes again in its last third, by name or by pronoun.
    last = text[int(len(text) * 0.62) :]
    named_last = {name for _, name in names_in(last)} & (known | set(new))
    pronouns = SHE.search(last) or HE.search(last) or re.search(r"\b(they|them|it|its)\b", last, re.I)
    if known and not named_last and not pronouns and not first_person:
        return "left"
    return pronouns_broken(text, told, cast, first_person)


def pronouns_broken(text: str, told: str, cast: list[dict], first_person: bool) -> str:
    female, male = genders(cast, text)
    she, he = len(SHE.findall(told)), len(HE.findall(told))
    if len(cast) == 1 and not first_person:
        only = cast[0]["gender"]
        if only == "?" and she and he and not (FEMALE_WORD.search(text) and MALE_WORD.search(text)):
            return "pronouns"
        if only == "f" and (he > she or (he and not male)):
            return "pronouns"
        if only == "m" and (she > he or (she and not female)):
            return "pronouns"
    elif (he and not male and (female or she)) or (she and not female and (male or he)):
        return "pronouns"
    they = len(re.findall(r"\b(they|them|their)\b", told, re.I))
    if len(cast) == 1 and cast[0]["gender"] in "fm" and they > 2 + 0.5 * (she + he):
        return "pronouns"
    return ""
