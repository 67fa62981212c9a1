// Names that nothing else has.

/** The name itself, or with a number behind it where it is used. @param {string} name @param {(name: string) => boolean} isUsed */
export function freeName(name, isUsed) {
  if (!isUsed(name)) return name;
  for (let number = 2; ; number++) if (!isUsed(`${name} ${number}`)) return `${name} ${number}`;
}
