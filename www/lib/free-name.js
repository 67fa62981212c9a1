// Names that are not taken.

/** The name itself, or followed by a number if it is taken. @param {string} name @param {(name: string) => boolean} isUsed */
export function freeName(name, isUsed) {
  if (!isUsed(name)) return name;
  for (let number = 2; ; number++) if (!isUsed(`${name} ${number}`)) return `${name} ${number}`;
}
