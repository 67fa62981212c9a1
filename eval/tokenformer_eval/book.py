"""Northanger Abbey, which the embedded model has not seen, as documents."""

from . import PACKAGE

PATH = PACKAGE / "data" / "northanger_abbey.txt"

#: How each of the 31 chapters begins: the text has no headings. Before the first stands the author's advertisement,
#: behind the last a footnote and a note of the edition, and none of these is a chapter.
OPENINGS = (
    "No one who had ever seen Catherine Morland in her infancy",
    "In addition to what has been already said",
    "Every morning now brought its regular duties",
    "With more than usual eagerness did Catherine",
    "Catherine was not so much engaged at the theatre",
    "The following conversation, which took place",
    "Half a minute conducted them through the pump-yard",
    "In spite of Udolpho and the dressmaker",
    "The progress of Catherine's unhappiness",
    "The Allens, Thorpes, and Morlands all met",
    "The morrow brought a very sober-looking morning",
    '"Mrs. Allen," said Catherine the next morning',
    "Monday, Tuesday, Wednesday, Thursday, Friday, and Saturday",
    "The next morning was fair, and Catherine almost expected",
    "Early the next day, a note from Isabella",
    "Catherine's expectations of pleasure from her visit",
    "The Allens had now entered on the sixth week",
    "With a mind thus full of happiness",
    "A few days passed away, and Catherine",
    "Mr. and Mrs. Allen were sorry to lose",
    "A moment's glance was enough to satisfy Catherine",
    "The housemaid's folding back her window-shutters",
    "An hour passed away before the general came in",
    "The next day afforded no opportunity",
    "The visions of romance were over.",
    "From this time, the subject was frequently canvassed",
    "The next morning brought the following very unexpected letter",
    "Soon after this, the general found himself obliged",
    "Catherine was too wretched to be fearful.",
    "Catherine's disposition was not naturally sedentary",
    "Mr. and Mrs. Morland's surprise",
)
ENDING = "*Vide a letter"


def chapters() -> list[list[str]]:
    """The paragraphs of each chapter."""
    paragraphs = PATH.read_text(encoding="utf-8").strip().split("\n\n")
    found: list[list[str]] = []
    for paragraph in paragraphs:
        if len(found) < len(OPENINGS) and paragraph.startswith(OPENINGS[len(found)]):
            found.append([])
        if paragraph.startswith(ENDING):
            break
        if found:
            found[-1].append(paragraph)
    if len(found) != len(OPENINGS):
        raise ValueError(
            f"{PATH} has {len(found)} of {len(OPENINGS)} chapters: chapter {len(found) + 1} was not found."
        )
    return found
