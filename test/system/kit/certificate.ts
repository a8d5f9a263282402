import { execFileSync } from 'node:child_process'
import path from 'node:path'

/** Writes NAME.pem and NAME.key, self-signed and for `host`, into `folder`. */
export function makeCertificate(folder: string, name: string, host = `${name}.test`): void {
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`],
      ...['-days', '2', '-keyout', path.join(folder, `${name}.key`)],
      ...['-out', path.join(folder, `${name}.pem`)],
    ],
    { stdio: 'ignore' },
  )
}
