// The first statement of the process must be the one in `first.ts`: everything else is loaded after.
import '../../common/runtime/first.ts'

await import('./worker-process.ts')
