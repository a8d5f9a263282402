import type { Static } from 'typebox'
import { map, optional, other, record } from '../schema-kit.ts'
import { checkSchema } from './checks.ts'
import { alertsSchema, directorSchema } from './director.ts'
import { adminSchema, boxesSchema, mountcheckSchema, poolSchema } from './inventory.ts'
import { routerSchema } from './router.ts'

/** The whole configuration's shape: every key, its kind, its bounds, its default. */
export const configSchema = map({
  edge: other('name'),
  boxes: boxesSchema,
  pools: record('name', poolSchema, { default: {} }),
  director: optional(directorSchema),
  router: optional(routerSchema),
  mountcheck: optional(mountcheckSchema),
  checks: record('name', checkSchema, { default: {} }),
  alerts: alertsSchema,
  admin: adminSchema,
})

/** The file as read: defaults filled in, units as numbers, nothing expanded or looked up yet. */
export type SourceConfig = Static<typeof configSchema>
export type SourcePool = Static<typeof poolSchema>
export type SourceCheck = Static<typeof checkSchema>
export type SourceRouter = Static<typeof routerSchema>
export type SourceGroup =
  SourceRouter['groups'] extends ReadonlyMap<string, infer Group> ? Group : never
export type SourceListener = SourceRouter['listen'][number]
export type SourceRoute = SourceRouter['routes'][number]
export type SourceDirector = Static<typeof directorSchema>
export type SourceMountcheck = Static<typeof mountcheckSchema>
export type SourceAdmin = Static<typeof adminSchema>
export type SourceVrrp =
  SourceDirector['vrrp'] extends ReadonlyMap<string, infer Vrrp> ? Vrrp : never
