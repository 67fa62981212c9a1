"""The teacher's filter: what it keeps, and why it refuses the rest."""

import unittest

from tokenformer_train.teacher.filter import clean, judge, signed
from tokenformer_train.teacher.prompts import Prompts, find_openings
from tokenformer_train.teacher.thread import names_in

STORY = """Anna had lost the key. She looked for it in the kitchen, under the table and behind the stove, but it was not
there. Then she remembered the old garden wall. Anna put on her coat and went out into the rain. The wall was wet, and
moss grew on the stones. Between two of them something shone. It was the key. Anna laughed, wiped it dry with her scarf
and ran back to the house. That evening she hung it on a nail beside the door, where nobody could lose it again."""
STORY = STORY.replace("\n", " ")
ANNA = {"name": "Anna", "gender": "f", "description": "a girl named Anna"}
BAKER = {"name": "the baker", "gender": "?", "description": "an old baker"}


def prompt(kind="story", beginning="Anna had lost the key.", cast=(ANNA,), first_person=False, head=""):
    return {
        "kind": kind,
        "head": head,
        "beginning": beginning,
        "cast": list(cast),
        "first_person": first_person,
        "request": "",
    }


def answer(text, beginning="Anna had lost the key."):
    assert text.startswith(beginning)
    return text[len(beginning) :]


class Stories(unittest.TestCase):
    def reason(self, text, ended=True, **kwargs):
        made = prompt(**kwargs)
        return judge(made, answer(text, made["beginning"]), ended)[1]

    def test_a_good_story_is_kept(self):
        document, reason = judge(prompt(head="The Key\n\n"), answer(STORY), True)
        self.assertEqual(reason, "kept")
        self.assertEqual(document, "The Key\n\n" + STORY)

    def test_what_did_not_end(self):
        self.assertEqual(self.reason(STORY, ended=False), "did not end")
        self.assertEqual(self.reason(STORY.removesuffix(".")), "no end")

    def test_names(self):
        self.assertEqual(self.reason(STORY + " Then Sarah and Robert came to see Peter."), "new names")
        late = STORY + " Her brother Jack smiled at Jack's dog."
        self.assertEqual(self.reason(late), "new names")

    def test_a_second_person_may_come_early_and_again(self):
        text = STORY.replace("Then she remembered", "She asked her sister Clara, and then she remembered")
        text = text.replace("That evening she", "That evening Clara made tea and she")
        self.assertEqual(self.reason(text), "kept")

    def test_pronouns(self):
        self.assertEqual(self.reason(STORY.replace("ran back", "he ran back")), "pronouns")
        self.assertEqual(
            self.reason(STORY.replace("she hung", "he hung").replace("her scarf", "his scarf")), "pronouns"
        )
        father = STORY.replace("That evening", "Her father was glad, and he made tea. That evening")
        self.assertEqual(self.reason(father), "kept")

    def test_a_person_of_either_gender_keeps_one(self):
        text = STORY.replace("Anna", "The baker")
        kept = {"beginning": "The baker had lost the key.", "cast": (BAKER,)}
        self.assertEqual(self.reason(text, **kept), "kept")
        self.assertEqual(self.reason(text.replace("her scarf", "his scarf"), **kept), "pronouns")

    def test_the_narrator_and_the_tense_stay(self):
        self.assertEqual(self.reason(STORY.replace("It was the key.", "I saw that it was the key.")), "narrator")
        self.assertEqual(self.reason(STORY, first_person=True), "narrator")
        mixed = STORY.replace("went out", "goes out").replace("was wet", "is wet").replace("was the key", "is the key")
        mixed = mixed.replace("looked", "looks")
        self.assertEqual(self.reason(mixed), "tense")

    def test_wording(self):
        for more, why in [
            (" It was a testament to her patience.", "stock phrases"),
            (" She had an otherworldly smile.", "stock phrases"),
            (" The moral of the story is that the author likes keys.", "meta"),
            (" She found a gun.", "unfit"),
        ]:
            self.assertEqual(self.reason(STORY + more), why, more)
        self.assertEqual(self.reason(STORY[:220].rsplit(".", 1)[0] + "."), "short")
        self.assertEqual(self.reason(" ".join([STORY] * 4)), "sentence twice")

    def test_lists_and_scripts(self):
        self.assertEqual(self.reason(STORY + "\n\n- one key."), "list")
        self.assertEqual(self.reason(STORY + "\n\nAnna: I have it."), "script")


class Others(unittest.TestCase):
    def test_a_letter_ends_with_its_name(self):
        text = (
            "Dear Grandmother,\n\nThank you for the red scarf. It is so long that it goes around my neck three times,"
            " and our cat has slept on it every night. We had snow on Monday. I made a man out of it and gave him the"
            " scarf for an hour.\n\nPlease come to see us in the spring.\n\nLove,\nNora\n\nP.S. This is a letter."
        )
        made = prompt(kind="letter", beginning="Dear Grandmother,", cast=())
        document, reason = judge(made, answer(text, "Dear Grandmother,"), False)
        self.assertEqual(reason, "kept")
        self.assertTrue(document.endswith("Love,\nNora"))

    def test_a_closing_of_several_words_is_kept_whole(self):
        self.assertEqual(signed(f"{STORY}\n\nBest regards,\nKofi\n\nMore", "Kofi"), f"{STORY}\n\nBest regards,\nKofi")
        self.assertEqual(
            signed(f"{STORY}\n\nYour friend,\n\nRuth Bell", "Ruth"), f"{STORY}\n\nYour friend,\n\nRuth Bell"
        )
        self.assertEqual(signed(f"{STORY}\n\nKofi", "Kofi"), f"{STORY}\n\nKofi")
        self.assertEqual(signed(STORY, "Kofi"), "")

    def test_markup_and_preambles_go(self):
        self.assertEqual(clean("story", "", "", "Here is a story about a key:\n\n**Anna** slept."), "Anna slept.")
        self.assertEqual(clean("story", "", "", "The Key\n\nAnna slept.\n\nThe End."), "Anna slept.")
        self.assertEqual(clean("story", "", "", "Sure, I can write it."), "")
        self.assertEqual(clean("poem", "", "The", " moon\n\n“Hush” — it’s late"), 'The moon\n\n"Hush" -- it\'s late')

    def test_names_are_found(self):
        text = "Rose gave Tom a rose. On Monday Tom's aunt came. The Moon rose."
        self.assertEqual([name for _, name in names_in(text)], ["Rose", "Tom", "Tom"])


class Prompting(unittest.TestCase):
    OPENINGS = ["The old gentleman had not been seen in the village since the winter."]

    def test_prompts_are_reproducible_and_whole(self):
        first, second = (Prompts(3, self.OPENINGS) for _ in range(2))
        made = [first.one_prompt() for _ in range(500)]
        self.assertEqual(made, [second.one_prompt() for _ in range(500)])
        self.assertEqual({p.kind for p in made}, {"story", "dialogue", "letter", "description", "poem"})
        for p in made:
            text = " ".join(part for part in (p.request, p.beginning, p.head) if part)
            self.assertNotRegex(text, r"  .|\.\.|,,| ,|\{|None|\ba [aeio]", text)

    def test_openings_stand_for_themselves(self):
        found = find_openings(
            "The old gentleman had not been seen in the village for years. He was ill.\n\nBut the next day they all"
            " came back to the town again. It rained.\n\nShort one. No.\n\nHe said that the horse was in the stable.",
            9,
        )
        self.assertEqual(found, ["The old gentleman had not been seen in the village for years."])


if __name__ == "__main__":
    unittest.main()
