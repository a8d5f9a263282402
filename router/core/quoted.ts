import { escapeUnprintable } from '../../common/net/unprintable.ts'

/** Text from a file as a message shows it: quoted, on one line, cut to a readable length. */
export function quoted(text: string): string {
  const short = text.length > LONGEST ? `${text.slice(0, LONGEST - 3).toWellFormed()}...` : text
  return `"${escapeUnprintable(short)}"`
}

const LONGEST = 80
