/** Text from a file as a message shows it: quoted, on one line, cut to a readable length. */
export function quoted(text: string): string {
  const short = text.length > LONGEST ? `${text.slice(0, LONGEST - 3).toWellFormed()}...` : text
  return `"${short.replace(UNPRINTABLE, escaped)}"`
}

const LONGEST = 80
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

const escaped = (character: string): string =>
  `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`
