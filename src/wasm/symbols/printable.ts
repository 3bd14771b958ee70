/** Names as reports may print them. A module can have any bytes as names. */

/** Names are cut behind so many characters. */
const NAME_MOST = 500;
/** Controls, marks that change the direction of text, separators of lines, halves of pairs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** A text without characters that a terminal would act on: `\u{1b}` in their place. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (sign) => `\\u{${sign.codePointAt(0)?.toString(16)}}`);
}

/** A name of a module, printable and not too long. */
export function printableName(name: string): string {
  const isLong = name.length > NAME_MOST;
  return printable(isLong ? `${name.slice(0, NAME_MOST)}…` : name);
}
