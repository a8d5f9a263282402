/** `npm run bench:router`: our photo router beside real peers, in one run. See docs/benchmarks.md. */
import { runBench } from './router/run-bench.ts'

process.exitCode = await runBench(process.argv.slice(2))
