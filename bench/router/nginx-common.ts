import { execFileSync } from 'node:child_process'
import type { Stage } from './stage.ts'

/** Lines that keep every file of an nginx in the run's folder. */
export function nginxGround(stage: Stage, name: string): string {
  const user = process.getuid?.() === 0 ? 'user root;\n' : ''
  return `${user}worker_processes 1;
worker_rlimit_nofile 20000;
pid ${stage.file(`${name}.pid`)};
error_log ${stage.file(`${name}.errors`)} warn;
events { worker_connections 16384; multi_accept on; }
`
}

/** Folders for temporary files; none is written to when all goes well. */
export function nginxTemporaries(stage: Stage): string {
  return ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${stage.file(`temporary-${kind}`)};`)
    .join('\n  ')
}

/** How nginx is started so that it stays in the foreground. */
export const nginxCommand = (stage: Stage, configFile: string): readonly string[] => [
  'nginx',
  ...['-p', stage.folder, '-c', configFile, '-e', stage.file('nginx.start'), '-g', 'daemon off;'],
]

/** First line of what a program says of its version. */
export function versionOf(program: string, flag: string, pattern: RegExp): string {
  // nginx writes its version to stderr.
  const text = execFileSync('sh', ['-c', `${program} ${flag} 2>&1`], { encoding: 'utf8' })
  return pattern.exec(text)?.[1] ?? 'of unknown version'
}
