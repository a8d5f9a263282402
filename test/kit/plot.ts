/** One story's curve: values of consecutive spans, and what happened when. */
export interface Panel {
  readonly name: string
  /** When the first span began, in seconds; 0 is what the panels are lined up by. */
  readonly fromS: number
  readonly spanS: number
  /** One a span, none negative. */
  readonly values: readonly number[]
  readonly marks: readonly { readonly atS: number; readonly label: string }[]
}

/** An SVG image of the panels below one another, on the same scales; text for any viewer. */
export function plotSvg(title: string, unit: string, panels: readonly Panel[]): string {
  const fromS = Math.min(0, ...panels.map((panel) => panel.fromS))
  const toS = Math.max(1, ...panels.map(endOf))
  const top = niceTop(Math.max(1, ...panels.flatMap((panel) => panel.values)))
  const scale: Scale = {
    x: (atS) => LEFT + ((atS - fromS) / (toS - fromS)) * PLOT_WIDTH,
    y: (value) => PLOT_HEIGHT - (value / top) * PLOT_HEIGHT,
  }
  const height = TITLE_HEIGHT + panels.length * PANEL_HEIGHT
  const drawn = panels.map((panel, index) => {
    const y = TITLE_HEIGHT + index * PANEL_HEIGHT + NAME_HEIGHT
    return `<g transform="translate(0 ${y})">${panelSvg(panel, scale, top, unit)}</g>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
<text x="${LEFT}" y="22" font-size="16">${escaped(title)}</text>
${drawn.join('\n')}
</svg>
`
}

interface Scale {
  readonly x: (atS: number) => number
  readonly y: (value: number) => number
}

function panelSvg(panel: Panel, { x, y }: Scale, top: number, unit: string): string {
  const { name, fromS, spanS, values, marks } = panel
  // Steps: a span's value holds for the whole span.
  const steps = values.flatMap((value, index) =>
    [fromS + index * spanS, fromS + (index + 1) * spanS].map((atS) => point(x(atS), y(value))),
  )
  const levels = [0, top / 2, top].map(
    (value) =>
      `<path d="M${LEFT} ${round(y(value))}H${LEFT + PLOT_WIDTH}" stroke="#ddd"/><text x="${LEFT - 6}" y="${round(y(value) + 4)}" text-anchor="end">${value}</text>`,
  )
  const seconds = wholeSeconds(fromS, endOf(panel)).map(
    (atS) =>
      `<text x="${round(x(atS))}" y="${PLOT_HEIGHT + 16}" text-anchor="middle">${atS} s</text>`,
  )
  // One below the other: labels of neighbouring marks don't cover each other.
  const lines = marks.map(
    ({ atS, label }, index) =>
      `<path d="M${round(x(atS))} 0V${PLOT_HEIGHT}" stroke="#c33" stroke-dasharray="3 3"/><text x="${round(x(atS) + 4)}" y="${12 + 14 * (index % 4)}" fill="#c33">${escaped(label)}</text>`,
  )
  return [
    `<text x="${LEFT}" y="-8">${escaped(`${name} (${unit})`)}</text>`,
    ...levels,
    ...seconds,
    `<polyline points="${steps.join(' ')}" fill="none" stroke="#06c" stroke-width="1.5"/>`,
    ...lines,
  ].join('')
}

const endOf = ({ fromS, spanS, values }: Panel): number => fromS + spanS * values.length

function wholeSeconds(fromS: number, toS: number): number[] {
  const first = Math.ceil(fromS)
  return Array.from({ length: Math.max(0, Math.floor(toS) - first + 1) }, (_, at) => first + at)
}

/** 1, 2 or 5 with zeros, not below the value, which is 1 at least. */
function niceTop(value: number): number {
  const zeros = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map((step) => step * zeros).find((top) => top >= value) ?? value
}

const point = (x: number, y: number): string => `${round(x)},${round(y)}`

const round = (value: number): number => Math.round(value * 10) / 10

function escaped(text: string): string {
  return text.replaceAll(/[<>&"]/g, (char) => `&#${char.charCodeAt(0)};`)
}

const WIDTH = 900
const LEFT = 60
const PLOT_WIDTH = WIDTH - LEFT - 20
const TITLE_HEIGHT = 36
const NAME_HEIGHT = 24
const PLOT_HEIGHT = 140
const PANEL_HEIGHT = NAME_HEIGHT + PLOT_HEIGHT + 36
