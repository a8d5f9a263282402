/**
 * The first offset from `from`, below `end`, within four bytes of which may be a control character
 * or DEL; at most three bytes before `end` when there is none. What is skipped holds neither.
 */
export const skipWords = (view: DataView, from: number, end: number): number => {
  let i = from
  for (const last = end - 4; i <= last; i += 4) {
    const word = view.getUint32(i, true)
    const del = word ^ 0x7f7f7f7f
    // The high bit of each byte: below 32 (RFC 9112's CTL), or equal to 127; bits above may lie.
    if ((((word - 0x20202020) & ~word) | ((del - 0x01010101) & ~del)) & 0x80808080) break
  }
  return i
}
