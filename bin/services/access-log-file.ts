import type { Config } from '../../common/config/config.ts'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import { NoAnswer } from '../../common/runtime/file-queue.ts'
import type { FileQueue } from '../../common/runtime/file-queue.ts'
import { reopenLogFile } from '../../router/io/log-file.ts'

/**
 * Opens the access log once, and makes it where it is missing, so that what a worker could not do
 * is known before there is one. Rejects with an `ApplianceError`, also where its disk hangs.
 */
export async function requireAccessLog({ router }: Config, files: FileQueue): Promise<void> {
  const file = router?.accessLog.file
  if (file === undefined || router?.accessLog.format === 'off') return
  try {
    await files.ask(file, async (path) => {
      const log = await reopenLogFile(path)
      await log.close()
    })
  } catch (cause) {
    // A pipe without a reader is opened later, by whoever has lines for it.
    if ((cause as NodeJS.ErrnoException).code === 'ENXIO') return
    const reason = cause instanceof NoAnswer ? 'its disk does not answer' : (cause as Error).message
    throw new ApplianceError(
      'RTR_ACCESS_LOG_OPEN',
      `Cannot write the access log ${file} (router.accessLog.file): ${reason}`,
      { cause },
    )
  }
}
