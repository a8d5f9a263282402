import type { Picture } from './jpeg.ts'

/** A landscape: sky, sun, three ranges of hills, some grain; the same for the same seed. */
export function paintLandscape(width: number, height: number, seed: number): Picture {
  const random = randomOf(seed)
  const hue = random()
  const sun = { x: random() * width, y: (0.15 + random() * 0.3) * height, radius: height * 0.08 }
  const ranges = [0.5, 0.62, 0.74].map((base, depth) => ({
    base: base * height,
    waves: [0.9, 2.3, 5.1].map((frequency) => ({
      frequency: (frequency * (0.7 + random())) / width,
      phase: random() * 2 * Math.PI,
      size: (height * 0.07 * (0.4 + random())) / Math.sqrt(frequency),
    })),
    color: colorOf(hue + 0.1 * depth, 0.35 + 0.1 * depth, 0.55 - 0.15 * depth),
  }))
  const sky = Array.from({ length: height }, (_, y) =>
    colorOf(hue + 0.5, 0.5, 0.55 + (0.4 * y) / height),
  )
  const rgb = new Uint8ClampedArray(width * height * 3)
  for (let x = 0; x < width; x += 1) {
    const ridges = ranges.map(({ base, waves }) =>
      waves.reduce(
        (y, { frequency, phase, size }) => y + size * Math.sin(frequency * x * 2 * Math.PI + phase),
        base,
      ),
    )
    for (let y = 0; y < height; y += 1) {
      const range = ranges[ridges.findLastIndex((ridge) => y > ridge)]
      const isSun = Math.hypot(x - sun.x, y - sun.y) < sun.radius
      const color = range?.color ?? (isSun ? SUN : (sky[y] ?? SUN))
      const shade = range === undefined ? 0 : ((range.base - y) / height) * 60
      const change = shade + (random() - 0.5) * 14
      const at = (y * width + x) * 3
      rgb[at] = (color[0] ?? 0) + change
      rgb[at + 1] = (color[1] ?? 0) + change
      rgb[at + 2] = (color[2] ?? 0) + change
    }
  }
  return { width, height, rgb: new Uint8Array(rgb.buffer) }
}

const SUN = [255, 240, 190]

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** Hue, saturation and lightness, each 0 to 1 (the hue wraps), as red, green, blue 0 to 255. */
function colorOf(hue: number, saturation: number, lightness: number): number[] {
  const chroma = saturation * Math.min(lightness, 1 - lightness)
  return [0, 8, 4].map((offset) => {
    const k = (offset + hue * 12) % 12
    return 255 * (lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1)))
  })
}
