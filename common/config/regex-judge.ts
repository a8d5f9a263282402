/** Why a regular expression is refused, or undefined. `group`: a named group that it must have. */
export function judgeRegex(source: string, group?: string): string | undefined {
  try {
    const { groups } = new RegExp(`(?:${source})|`).exec('') ?? {}
    if (group !== undefined && !(group in (groups ?? {})))
      return `it lacks the group (?<${group}>...)`
    return undefined
  } catch {
    return 'it is no regular expression'
  }
}
