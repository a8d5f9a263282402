import type { PhotoSet } from '../photos.ts'
import type { LoadReport } from './target.ts'

/** What the bench asks of its load process; each is answered once, in order. */
export type LoadRequest =
  | {
      readonly type: 'open'
      readonly target: string
      readonly port: number
      readonly isTls: boolean
      readonly set: PhotoSet
      readonly poolFile: string
      readonly connections: number
    }
  | { readonly type: 'closed'; readonly target: string; readonly durationMs: number }
  | {
      readonly type: 'openLoop'
      readonly target: string
      readonly durationMs: number
      readonly photosPerSecond: number
    }
  | { readonly type: 'addWithOnePhoto'; readonly target: string; readonly count: number }
  | { readonly type: 'close'; readonly target: string }

/** `report` is missing after `open` and `close`. */
export type LoadReply =
  | { readonly ok: true; readonly report?: LoadReport }
  | { readonly ok: false; readonly message: string }
