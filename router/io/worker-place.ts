/** This worker's place among all, from 1, as the primary numbers them; its successor has the same. */
export const workerPlace = (): number => Number(process.env['PHOTOEDGE_WORKER'] ?? 1)
