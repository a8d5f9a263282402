const NAP_MS = 1
/** Less is a timer's own. */
const LEAST_MS = 0.5

process.on('message', (durationMs: number) => {
  const nobody = new Int32Array(new SharedArrayBuffer(4))
  const endAt = performance.now() + durationMs
  let stoodMs = 0
  for (let before = performance.now(); before < endAt;) {
    Atomics.wait(nobody, 0, 0, NAP_MS)
    const now = performance.now()
    const lateMs = now - before - NAP_MS
    if (lateMs > LEAST_MS) stoodMs += lateMs
    before = now
  }
  process.send?.(stoodMs)
})
process.on('disconnect', () => process.exit())
