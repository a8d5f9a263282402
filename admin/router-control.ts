/**
 * What the admin API needs of a running router. The service that owns the primary implements it
 * and hands it to `createAdminServer`; nothing here knows how.
 */
import type {
  CacheRequest,
  Changed,
  Event,
  ExplainQuery,
  Explanation,
  Reloaded,
  ReloadRequest,
  RouterStatus,
  SimulateRequest,
  Simulation,
  WeightRequest,
} from './schemas.ts'

/** Done, or refused: with the HTTP status that says how, and the reasons as sentences. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly status: 404 | 409 | 422; readonly problems: readonly string[] }

export interface RouterControl {
  status(): RouterStatus
  /** All that are kept, newest first. */
  events(): readonly Event[]
  /** The Prometheus text format, 0.0.4. */
  metrics(): Promise<string>
  /** False before the first worker serves and while draining: `/readyz` says 503 then. */
  isReady(): boolean
  explain(query: ExplainQuery): Outcome<Explanation>
  simulate(request: SimulateRequest): Promise<Outcome<Simulation>>
  /** No new requests for the cache; each goes to its next rank. */
  drain(request: CacheRequest): Promise<Outcome<Changed>>
  undrain(request: CacheRequest): Promise<Outcome<Changed>>
  weight(request: WeightRequest): Promise<Outcome<Changed>>
  /** Reads the configuration again; a wrong one is refused whole and the old one serves on. */
  reload(request: ReloadRequest): Promise<Outcome<Reloaded>>
}
