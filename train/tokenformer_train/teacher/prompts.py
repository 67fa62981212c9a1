"""Prompts for the teacher, put together at random.

A prompt says who a text is about, and the filter (`filter.py`, `thread.py`) holds the answer to that. The document is
head + beginning + answer; the teacher never sees the head, which is what a reader might have typed as a title.
"""

import random
import re
from dataclasses import asdict, dataclass, field

from . import words as w

# Kinds of text, by how often they are asked for.
SHARES = {"story": 0.66, "dialogue": 0.12, "letter": 0.09, "description": 0.08, "poem": 0.05}
FEMALE, MALE, EITHER = "f", "m", "?"


@dataclass
class Person:
    name: str  # as it stands in the text: "Anna", "Mr. Pell", "the baker"
    gender: str
    description: str  # "a shy girl named Anna"

    @property
    def is_named(self) -> bool:
        return not self.name.startswith("the ")


@dataclass
class Prompt:
    kind: str
    request: str
    beginning: str = ""
    head: str = ""
    cast: list[Person] = field(default_factory=list)
    first_person: bool = False

    def as_dict(self) -> dict:
        return asdict(self)


def a(noun: str) -> str:
    vowel = re.match(r"[aeiou]|honest", noun, re.I) and not noun.startswith(("uni", "one"))
    return f"{'an' if vowel else 'a'} {noun}"


def capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


class Prompts:
    """`openings`: sentences that texts may begin with, taken from books."""

    def __init__(self, seed: int, openings: list[str]):
        self.random = random.Random(seed)
        self.openings = openings

    def pick(self, choices):
        return self.random.choice(choices)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    # ---- People ----------------------------------------------------------------------------------

    def named(self, gender: str | None = None, but: str = "") -> Person:
        gender = gender or self.pick([FEMALE, MALE])
        name = but
        while name == but:
            name = self.pick(w.GIRLS if gender == FEMALE else w.BOYS)
        what = self.pick(["girl", "little girl", "young woman", "woman"] if gender == FEMALE else
                         ["boy", "little boy", "young man", "man"])  # fmt: skip
        if self.chance(0.35):
            what = self.pick(w.ROLES)
        what = f"{self.pick(w.TRAITS)} {what}" if self.chance(0.6) else what
        return Person(name, gender, f"{a(what)} named {name}")

    def elder(self) -> Person:
        gender = self.pick([FEMALE, MALE])
        name = self.pick(w.WOMEN if gender == FEMALE else w.MEN)
        return Person(name, gender, name)

    def role(self) -> Person:
        gender, roles = self.pick([(FEMALE, w.FEMALE_ROLES), (MALE, w.MALE_ROLES), (EITHER, w.ROLES)])
        role = self.pick(roles)
        trait = self.pick(w.TRAITS)
        full = role if role.split()[0] in ("old", "young", "little") else f"{trait} {role}"
        return Person(f"the {role}", gender, a(full))

    def animal(self) -> Person:
        animal, trait = self.pick(w.ANIMALS), self.pick(w.TRAITS)
        if self.chance(0.45):
            name = self.pick(w.PETS)
            return Person(name, EITHER, f"{a(f'{trait} {animal}')} named {name}")
        return Person(f"the {animal}", EITHER, a(f"{trait} {animal}"))

    def one(self) -> Person:
        share = self.random.random()
        if share < 0.52:
            return self.named()
        if share < 0.60:
            return self.elder()
        return self.role() if share < 0.80 else self.animal()

    def cast(self) -> tuple[list[Person], str]:
        """One or two people, and how a request speaks of them."""
        if self.chance(0.6):
            one = self.one()
            return [one], one.description
        if self.chance(0.25):
            one, other = self.named(), self.animal()
            return [one, other], f"{one.description} and {other.description}"
        if self.chance(0.2):
            one, other = self.named(), self.role()
            return [one, other], f"{one.description} and {other.description}"
        one = self.named()
        other = self.named(but=one.name)
        female = other.gender == FEMALE
        kin = self.pick(["sister", "mother", "aunt", "friend"] if female else ["brother", "father", "uncle", "friend"])
        if kin == "friend":
            return [one, other], f"two friends named {one.name} and {other.name}"
        return [one, other], f"{one.name} and {'her' if one.gender == FEMALE else 'his'} {kin} {other.name}"

    # ---- Beginnings ------------------------------------------------------------------------------

    def first_sentence(self, cast: list[Person], description: str, place: str, thing: str) -> str:
        p, n, N = self.pick, cast[0].name, capitalized(cast[0].name)
        when = p(w.TIMES)
        if len(cast) == 2 and self.chance(0.6):
            both = f"{N} and {cast[1].name}"
            return p([
                lambda: f"Once upon a time, there were {description} who lived in {a(place)}."
                if description.startswith("two") else f"{capitalized(description)} lived in {a(place)}.",
                lambda: f"{both} found {a(thing)} in the {place}.",
                lambda: f"{both} were walking through the {place}.",
                lambda: f"{capitalized(when)}, {n} and {cast[1].name} set out together.",
                lambda: f"\"{p(w.SAYINGS)}\" said {n} to {cast[1].name}.".replace('.\" said', ',\" said'),
                lambda: f"{both} had lost the {thing}.",
            ])()  # fmt: skip
        one = cast[0].description
        return p([
            lambda: f"Once upon a time, there was {one} who lived in {a(place)}.",
            lambda: f"Once upon a time, there was {one} who",
            lambda: f"Once upon a time, in {a(place)}, there lived {one}.",
            lambda: f"There was once {one} who had never seen {a(thing)}.",
            lambda: f"There was once {one} who could not {p(['sleep', 'swim', 'sing', 'lie', 'sit still'])}.",
            lambda: f"Long ago there lived {one} who wanted only one thing: {a(thing)}.",
            lambda: f"{N} had lost the {thing}.",
            lambda: f"{N} found {a(thing)} in the {place}.",
            lambda: f"{capitalized(when)}, {n} found {a(thing)}.",
            lambda: f"Every morning {n} walked past the {place}.",
            lambda: f"Every {p(['Friday', 'evening', 'spring'])}, {n} went back to the {place}.",
            lambda: f"{N} was not afraid of the dark, but the {thing} was another matter.",
            lambda: f"{N} woke up early {when}.",
            lambda: f"When {n} came home, the door was open.",
            lambda: f"{N} looked at the {thing} for a long time.",
            lambda: f"{N} had a secret.",
            lambda: f"One day {n} came to {a(place)}.",
            lambda: f"{N} had kept the {thing} for many years.",
            lambda: f"{N} wanted to see {p(['the sea', 'snow', 'a ship', 'the city', 'a whale', 'the mountains'])}.",
            lambda: f"{N} had not slept for {p(['two nights', 'three days', 'a week'])}.",
            lambda: f"The train was late, and {n} was cold.",
            lambda: f"At the edge of the {place} lived {one}.",
            lambda: f"Beyond the {place}, on a hill, lived {one}.",
            lambda: f"Everyone in the {place} knew {n}.",
            lambda: f"It was a {p(['windy', 'grey', 'quiet'])} evening, and {n} was alone in the {place}.",
            lambda: f"\"{p(w.SAYINGS)}\" said {n}.".replace('.\" said', ',\" said').replace('?\" said', '?\" asked'),
            lambda: f"{N}",
        ])()  # fmt: skip

    def title(self, person: Person, place: str, thing: str) -> str:
        title = self.pick(
            [f"the {thing}", f"{person.name} and the {thing}", f"a night in the {place}", f"{person.name}"]
        )
        small = ("of", "the", "and", "a", "an", "in", "by", "who", "to", "that")
        return capitalized(" ".join(x if x in small else capitalized(x) for x in title.split()))

    # ---- Kinds of text ---------------------------------------------------------------------------

    def story(self) -> Prompt:
        p = self.pick
        cast, description = self.cast()
        place, thing = p(w.PLACES), p(w.OBJECTS)
        mood, kind = p(w.MOODS), p(w.KINDS)
        what = f"short {mood} {kind}" if self.chance(0.4) else p([f"short {kind}", kind])
        request = p([f"Write {a(what)} about {description}", f"Tell me {a(what)} about {description}"])
        if self.chance(0.4):
            request += f" in {a(place)}"
        if self.chance(0.3):
            request += f" and {a(thing)}"
        request += "."
        if self.chance(0.4):
            request += f" It is about this: {p(w.PLOTS)}."
        style = p(w.STYLES) if self.chance(0.4) else ""
        request += (
            f" {style} {p(['Give it a clear ending.', 'End with a happy ending.', '', 'Keep it under 150 words.'])}"
        )
        prompt = Prompt("story", request.strip(), cast=cast)
        share = self.random.random()
        if share < 0.56:
            prompt.beginning = self.first_sentence(cast, description, place, thing)
        elif share < 0.70:  # as an old book begins; whom it is about, the sentence itself says
            opening = p(self.openings)
            whole = self.chance(0.7)
            cut = opening.split()
            prompt.beginning = opening if whole else " ".join(cut[: self.random.randint(2, min(7, len(cut)))])
            begins = f"Write {a(what)} that begins with this sentence: {opening} {style}"
            prompt.request = begins if whole else f"Write {a(what)}. {style}"
            prompt.cast = []
            prompt.first_person = bool(re.search(r"\b(I|my|me|we|our)\b", prompt.beginning, re.I))
        elif share < 0.80:
            prompt.beginning = p(w.BEGINNINGS)
        elif share < 0.86:
            title = self.title(cast[0], place, thing)
            prompt.head = f"{p([title, title.upper()])}\n\n"
            prompt.beginning = (
                self.first_sentence(cast, description, place, thing) if self.chance(0.5) else p(w.BEGINNINGS)
            )
        elif share < 0.92:
            prompt.head = p([f"Tell me a story about {description}.", f"Write a story about {description}.",
                             f"A story about {description}:"]) + "\n\n"  # fmt: skip
            prompt.beginning = (
                self.first_sentence(cast, description, place, thing) if self.chance(0.5) else p(w.BEGINNINGS)
            )
        else:
            prompt.first_person = True
            prompt.request = f"Write a short story about {description}, told by somebody who was there. {style}"
            prompt.beginning = p(["I was ten years old when", f"My grandmother used to tell me about {description}.",
                                  f"When I was small, I knew {description}.", "My father", "My uncle", "We lived in",
                                  f"I first met {cast[0].name} in {a(place)}.", "I remember the day"])  # fmt: skip
        return prompt

    def letter(self) -> Prompt:
        p, writer = self.pick, self.named()
        to = p([p(w.GIRLS + w.BOYS), p(w.WOMEN + w.MEN), "Mother", "Father", "Grandmother", "Grandfather",
                "Aunt Clara", "Uncle Joe", "Sir", "friend", "brother", "sister"]).replace("old ", "")  # fmt: skip
        about = p(w.LETTERS)
        beginning = f"{p(['Dear', 'Dear', 'My dear', 'Dearest'])} {to},"
        if self.chance(0.6):
            beginning += "\n\n" + p([
                f"I am writing to you about {about}.", "Thank you for your letter.", "The garden is green again",
                "We are all well", "It has been a long time since my last letter.",
                "I hope this letter finds you well.", "I am writing to",
                f"You will never guess what happened {p(w.TIMES)}.",
                "I have something to tell you.", "We arrived", "Today",
                "I am sorry that I have not written sooner.", f"Do you remember the {p(w.PLACES)}?"])  # fmt: skip
        whom = to if to[0].isupper() else f"my {to}"
        request = f"Write a short, {p(w.MOODS)} letter to {whom} about {about}. Sign it with the name {writer.name}."
        addressee = Person(to, EITHER, to)
        return Prompt("letter", request, beginning, cast=[addressee, writer], first_person=True)

    def dialogue(self) -> Prompt:
        p, one = self.pick, self.named()
        other = self.elder() if self.chance(0.2) else self.named(but=one.name)
        if self.chance(0.15):
            other = self.role()
        said = p(w.SAYINGS)
        verb, mark = ("asked", said) if said.endswith("?") else ("said", re.sub(r"\.$", ",", said))
        speaker = p([one, other])
        beginning = p([f'"{mark}" {verb} {speaker.name}.', f'"{mark}" {verb} {speaker.name}.', f'"{said}"',
                       f"{one.name} looked at {other.name}."])  # fmt: skip
        request = (
            f"Write a short scene in which {one.description} and {other.description} talk about {a(p(w.OBJECTS))}"
            f" in {a(p(w.PLACES))}. Put what they say in quotation marks. {p(['', 'Give it an ending.'])}"
        )
        return Prompt("dialogue", request, beginning, cast=[one, other])

    def description(self) -> Prompt:
        p, sight, place = self.pick, self.pick(w.SIGHTS), self.pick(w.PLACES)
        head = p(["", "", "", "", f"{capitalized(sight)}\n\n"])
        beginning = p(["The", "It was", "In the", "There was", f"The {place} was", f"{capitalized(p(w.TIMES))}, the",
                       "From the window", "At the end of", "", f"The {p(w.PLACES)} was cold and"])  # fmt: skip
        length = p(["five sentences", "one paragraph", "one short paragraph"])
        how = p(["Say what can be seen, heard and smelled.", "Use concrete details.", "Use plain words."])
        request = f"Describe {sight} in {length}. {how}"
        return Prompt("description", request, beginning, head)

    def poem(self) -> Prompt:
        p, about = self.pick, self.pick(w.POEMS)
        head = p(["", "", f"A poem about {about}\n\n", f"A poem about {about}\n\n", f"{capitalized(about)}\n\n",
                  f"Write a poem about {about}.\n\n"])  # fmt: skip
        noun = about.split()[-1]
        beginning = p(["", "", "The", "In the", "O", "When", "Softly", "There", "A", "Come,", "Little", "Under the",
                       f"{capitalized(noun)}, {noun},"])  # fmt: skip
        mood = p(["short", "simple", "rhyming", "gentle", "quiet"])
        verses = p(["in two stanzas of four lines", "in three short stanzas", "with short lines"])
        request = f"Write a {mood} poem about {about} {verses}. Write only the poem."
        return Prompt("poem", request, beginning, head)

    def one_prompt(self) -> Prompt:
        kind = self.random.choices(list(SHARES), list(SHARES.values()))[0]
        prompt = getattr(self, kind)()
        prompt.request = " ".join(prompt.request.split())
        return prompt


# ---- Openings from books -----------------------------------------------------------------------

ABBREVIATION = re.compile(r"\b(Mr|Mrs|Dr|St|Ms|No|Capt|Col|Gen|Lt|Rev|Esq|Hon|Sr|Jr|vs|etc|i\.e|e\.g)\.$")
NOT_AT_FIRST = re.compile(
    r"(But|And|So|Then|Yet|For|Or|Nor|Now|Well|Yes|No|Oh|Ah|Still|Indeed|Besides|Here|It is|That is|He|She|They)\b"
)
NOT_IN_IT = re.compile(
    r"[;()\[\]0-9]|--|\b(said|replied|answered|cried|exclaimed|thou|thee|thy|hath|doth|chapter|reader|thus|therefore"
    r"|however|moreover|latter|former|such|these|this|those|accordingly|he|she|they|him|her|his|their|you|your)\b",
    re.I,
)


def find_openings(text: str, limit: int, seed: int = 0) -> list[str]:
    """First sentences of paragraphs that can begin a text: short, complete, and not about people met before."""
    found: dict[str, None] = {}
    paragraphs = text.split("\n\n")
    random.Random(seed).shuffle(paragraphs)
    for paragraph in paragraphs:
        match = re.match(r'[A-Z][^.!?"]{22,130}[.!?](?= [A-Z"]|$)', paragraph)
        sentence = match.group() if match else ""
        if not 6 <= len(sentence.split()) <= 20 or ABBREVIATION.search(sentence):
            continue
        if NOT_IN_IT.search(sentence) or NOT_AT_FIRST.match(sentence):
            continue
        found[sentence] = None
        if len(found) >= limit:
            break
    return list(found)
