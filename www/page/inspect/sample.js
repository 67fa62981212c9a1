// The text that the page starts with. Native tests read it, too: it is the text between the two backticks.

export const SAMPLE = `Once upon a time there was a little girl named Lily. She lived in a small house with her mother and her father. Every morning Lily went to the garden to feed her cat, whose name was Tom. One day, she could not find him.`;
