import { X509Certificate, createPrivateKey } from 'node:crypto'
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import type { Config, Pool } from '../common/config/config.ts'
import { isPerBox } from '../common/config/named-files.ts'
import type { NamedFile } from '../common/config/named-files.ts'
import { quote } from '../common/config/problem.ts'
import { reasonOf } from '../common/runtime/config-file.ts'
import { findUser } from '../healthcheck/io/script-file.ts'
import { parseShardTable } from '../router/core/shard-table.ts'

/** What is wrong with a file that the configuration names. */
export interface FileFinding {
  readonly named: NamedFile
  /**
   * `missing`: it cannot be opened, or the user is not there (another box may have it); `wrong`:
   * what it holds is no use.
   */
  readonly kind: 'missing' | 'wrong'
  /** A sentence with the file's name. */
  readonly message: string
}

/**
 * Opens each file and judges what it holds. Never throws. A shard table is judged by its pool; that
 * of a pool that is not there is only opened.
 */
export function inspectFiles(
  files: readonly NamedFile[],
  pools: Config['pools'],
): readonly FileFinding[] {
  return files.filter(({ file }) => !isPerBox(file)).flatMap((named) => inspectFile(named, pools))
}

function inspectFile(named: NamedFile, pools: Config['pools']): readonly FileFinding[] {
  const missing = missingIn(named)
  if (missing !== undefined) return [{ named, kind: 'missing', message: missing }]
  const wrong = contentFaults(named, pools).map((fault): FileFinding => {
    return { named, kind: 'wrong', message: `The file ${shown(named.file)} is no use: ${fault}` }
  })
  return wrong.slice(0, 20)
}

function missingIn({ file, use }: NamedFile): string | undefined {
  const unusable = (reason: string) => `The file ${shown(file)} cannot be used: ${reason}`
  try {
    const mode = use.type === 'program' ? constants.X_OK : constants.R_OK
    accessSync(file, mode)
    if (!statSync(file).isFile()) return unusable('it is no regular file')
    if (use.type !== 'users' || findUser(use.user) !== undefined) return undefined
    return `There is no user ${quote(use.user)} in ${file} to run the script as`
  } catch (error) {
    return unusable(reasonOf(error))
  }
}

function contentFaults({ file, use }: NamedFile, pools: Config['pools']): readonly string[] {
  try {
    switch (use.type) {
      case 'program':
      case 'users':
        return []
      case 'secret':
        return readFileSync(file, 'utf8').trim() === '' ? ['it is empty'] : []
      case 'certificate':
        return pairFaults(file, use.key)
      case 'ticketKeys':
        return ticketKeyFaults(readFileSync(file, 'utf8'))
      case 'shards':
        return shardFaults(readFileSync(file, 'utf8'), pools[use.pool])
    }
  } catch (error) {
    return [reasonOf(error)]
  }
}

/** A key that is missing is a finding of its own. */
function pairFaults(certificateFile: string, keyFile: string): readonly string[] {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(readFileSync(certificateFile))
  } catch {
    return ['it holds no certificate in PEM form']
  }
  let pem: string
  try {
    pem = readFileSync(keyFile, 'utf8')
  } catch {
    return []
  }
  try {
    if (certificate.checkPrivateKey(createPrivateKey(pem))) return []
    return [`its certificate and the key ${shown(keyFile)} are not a pair`]
  } catch {
    return [
      `the key ${shown(keyFile)} beside it holds no private key in PEM form without a passphrase`,
    ]
  }
}

function ticketKeyFaults(text: string): readonly string[] {
  const lines = text.split('\n').map((line) => line.trim())
  const faults = lines.flatMap((line, index) => {
    if (
      line === '' ||
      (/^[A-Za-z0-9+/]{64}$/.test(line) && Buffer.from(line, 'base64').length === 48)
    )
      return []
    return [`line ${index + 1} is not 48 bytes in base64`]
  })
  return lines.every((line) => line === '') ? ['it holds no key'] : faults
}

function shardFaults(text: string, pool: Pool | undefined): readonly string[] {
  if (pool === undefined) return []
  const parsed = parseShardTable(
    text,
    pool.servers.map((server) => server.name),
  )
  if (parsed.ok) return []
  return parsed.problems.map(({ line, message }) =>
    line === undefined ? message : `line ${line}: ${message}`,
  )
}

/** A path is shown whole, however long. */
const shown = (file: string) => `"${file}"`
