/** As the primary numbers the workers, from 1; a successor has the same. */
const PLACE = 'PHOTOEDGE_WORKER'

/** This worker's place among all. */
export const workerPlace = (): number => Number(process.env[PLACE] ?? 1)

/** As status calls this worker. */
export const workerName = (): string => `worker ${process.env[PLACE] ?? ''}`.trim()
