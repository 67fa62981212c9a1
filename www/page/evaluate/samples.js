// Samples to try without a text at hand. The embedded model was not trained on either.

/** Jane Austen, Northanger Abbey, the beginning of chapter 1 (1817, public domain). */
export const SAMPLE_TEXT = `No one who had ever seen Catherine Morland in her infancy would have supposed her born to be an heroine. Her situation in life, the character of her father and mother, her own person and disposition, were all equally against her. Her father was a clergyman, without being neglected, or poor, and a very respectable man, though his name was Richard--and he had never been handsome. He had a considerable independence besides two good livings--and he was not in the least addicted to locking up his daughters. Her mother was a woman of useful plain sense, with a good temper, and, what is more remarkable, with a good constitution. She had three sons before Catherine was born; and instead of dying in bringing the latter into the world, as anybody might expect, she still lived on--lived to have six children more--to see them growing up around her, and to enjoy excellent health herself. A family of ten children will be always called a fine family, where there are heads and arms and legs enough for the number; but the Morlands had little other right to the word, for they were in general very plain, and Catherine, for many years of her life, as plain as any.`;

/** Ends of sentences that a reader would expect, easy ones first. */
const PAIRS = [
  ["Once upon a", " time"],
  ["The king and the", " queen"],
  ["She opened the door and went into the", " house"],
  ["They looked at one another in", " silence"],
  ["He shook his head and said, “I do not", " know"],
  ["The sun went down, and soon it was quite", " dark"],
  ["The poor man had a wife and three", " children"],
  ["The ship sailed away across the", " sea"],
  ["“Good morning,” said the wolf. “Good", " morning"],
  ["When the clock struck twelve, it was", " midnight"],
  ["In the middle of the forest there stood a little", " house"],
  ["She put the baby into its cradle and sang it to", " sleep"],
];

export const SAMPLE_PAIRS = PAIRS.map(([context, continuation]) => JSON.stringify({ context, continuation })).join(
  "\n",
);
