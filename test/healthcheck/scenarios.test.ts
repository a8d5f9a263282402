import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Pool } from '../../common/config/config.ts'
import type { HealthEffect } from '../../healthcheck/core/machine-state.ts'
import { World, httpCheck, poolOf, tcpCheck } from './world.ts'
import type { Behaviour } from './world.ts'

/**
 * One story each: `NAME.in.jsonl` is what happens, a line each (`at` in milliseconds);
 * `NAME.out.jsonl` is what the prober does about it. UPDATE_SCENARIOS=1 writes the latter anew.
 */
interface Line {
  readonly at: number
  /** What is being shown, for the reader. */
  readonly note?: string
  readonly pools?: Record<string, Partial<Pool> & { count: number }>
  readonly checks?: Record<string, Record<string, unknown>>
  /** From now on these servers (or `server check`) answer so. */
  readonly servers?: Record<string, Behaviour>
  readonly checkNow?: string
  /** The weights in force, by `pool/server`, where they are not the configured ones. */
  readonly weights?: Record<string, number>
  /** The prober ends, and begins again so many milliseconds later with the `pools` of this line. */
  readonly restart?: number
  /** Show the checks' starts too. */
  readonly showChecks?: boolean
}

const folder = join(import.meta.dirname, 'scenarios')
const names = readdirSync(folder).filter((file) => file.endsWith('.in.jsonl'))

for (const file of names) {
  const name = file.replace('.in.jsonl', '')
  void t.test(`scenario: ${name}`, (t) => {
    const output = play(readFileSync(join(folder, file), 'utf8'))
    const golden = join(folder, `${name}.out.jsonl`)
    if (process.env['UPDATE_SCENARIOS'] === '1') writeFileSync(golden, output)
    t.equal(output, readFileSync(golden, 'utf8'))
    t.end()
  })
}

function play(input: string): string {
  const lines: string[] = []
  let showChecks = false
  const world = new World((effect, at) => {
    const shown = show(effect, showChecks)
    if (shown !== undefined) lines.push(JSON.stringify({ at: Math.round(at), ...shown }))
  })
  for (const text of input.trimEnd().split('\n')) {
    const line = JSON.parse(text) as Line
    world.runUntil(line.at)
    showChecks = line.showChecks ?? showChecks
    for (const [server, behaviour] of Object.entries(line.servers ?? {})) {
      world.behaviours.set(server, behaviour)
    }
    if (line.restart !== undefined) world.restart(line.restart)
    if (line.pools !== undefined) {
      const pools = Object.entries(line.pools).map(([name, { count, ...changes }]) => {
        return [name, poolOf(count, { name, ...changes })] as const
      })
      const checks = Object.entries(line.checks ?? {}).map(([name, changes]) => {
        const make = changes['type'] === 'http' ? httpCheck : tcpCheck
        return [name, make({ name, ...changes })] as const
      })
      const configuration = { pools: Object.fromEntries(pools), checks: Object.fromEntries(checks) }
      world.send({ type: 'configure', ...configuration })
    }
    if (line.weights !== undefined)
      world.send({ type: 'weights', weights: new Map(Object.entries(line.weights)) })
    const [pool, server] = line.checkNow?.split('/') ?? []
    if (pool !== undefined && server !== undefined) world.send({ type: 'checkNow', pool, server })
  }
  return `${lines.join('\n')}\n`
}

function show(effect: HealthEffect, showChecks: boolean): Record<string, unknown> | undefined {
  switch (effect.type) {
    case 'probe':
      return showChecks
        ? { check: `${effect.target.server} ${effect.target.check.name}` }
        : undefined
    case 'cancel':
      return { cancel: `${effect.target.server} ${effect.target.check.name}` }
    case 'tell': {
      const { event, subject, reason } = effect.event
      return { event, subject, reason }
    }
    case 'change': {
      const { before, verdict } = effect.change
      const { pool, server, state, factor, held, clearsSuspicion, returned, boot, cache } = verdict
      return {
        change: `${pool}/${server} ${before} to ${state}`,
        factor,
        ...(held !== 'no' && { held }),
        ...(clearsSuspicion && { clearsSuspicion }),
        ...(before === 'down' && state === 'up' && { returned }),
        ...(boot !== undefined && { boot, cache }),
      }
    }
  }
}
