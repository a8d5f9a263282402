import fc from 'fast-check'
import t from 'tap'
import { plotSvg } from './plot.ts'
import type { Panel } from './plot.ts'

const panel: Panel = { name: 'one', fromS: -1, spanS: 0.5, values: [0, 50, 100, 20], marks: [] }

const pointsOf = (svg: string): string[] =>
  /<polyline points="([^"]*)"/.exec(svg)?.[1]?.split(' ') ?? []

void t.test('each span is a step, on a scale that ends at a round number', (t) => {
  t.same(pointsOf(plotSvg('title', 'requests/s', [panel])), [
    ...['60,140', '265,140', '265,70', '470,70'],
    ...['470,0', '675,0', '675,112', '880,112'],
  ])
  const higher = plotSvg('title', 'requests/s', [{ ...panel, values: [0, 50, 101, 20] }])
  t.match(higher, '>200</text>')
  t.equal(pointsOf(higher)[2], '265,105')
  t.end()
})

void t.test('panels share their scales, and are lined up by second 0', (t) => {
  const later: Panel = {
    ...panel,
    name: 'two',
    fromS: 0,
    values: [200],
    marks: [{ atS: 0, label: 'it' }],
  }
  const svg = plotSvg('title', 'unit', [panel, later])
  const lines = [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, points]) => points)
  t.equal(lines[0]?.split(' ')[2], '265,105', '50 of 200')
  t.equal(lines[1], '470,0 675,0', 'from second 0 on')
  t.match(svg, '<path d="M470 0V140"')
  t.match(svg, /translate\(0 60\).*translate\(0 260\)/s)
  t.end()
})

void t.test('whatever is drawn, it is well-formed and has finite numbers', (t) => {
  const anyPanel = fc.record({
    name: fc.string(),
    fromS: fc.integer({ min: -100, max: 100 }),
    spanS: fc.constantFrom(0.25, 0.5, 1),
    values: fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 50 }),
    marks: fc.array(fc.record({ atS: fc.integer({ min: 0, max: 9 }), label: fc.string() })),
  })
  fc.assert(
    fc.property(fc.string(), fc.array(anyPanel, { maxLength: 4 }), (title, panels) => {
      const svg = plotSvg(title, 'unit', panels)
      const tags = [...svg.matchAll(/<[^>]*>/g)].map(([tag]) => tag)
      const rest = svg.replaceAll(/<[^>]*>/g, '')
      const opened = tags.filter((tag) => !tag.startsWith('</') && !tag.endsWith('/>')).length
      const closed = tags.filter((tag) => tag.startsWith('</')).length
      return opened === closed && !/[<>]|&(?!#)/.test(rest) && !/NaN|Infinity/.test(tags.join(''))
    }),
  )
  t.end()
})
