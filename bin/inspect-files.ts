import { X509Certificate, createPrivateKey } from 'node:crypto'
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import type { Config, Pool } from '../common/config/config.ts'
import { isPerBox } from '../common/config/named-files.ts'
import type { NamedFile } from '../common/config/named-files.ts'
import { quote } from '../common/config/problem.ts'
import { reasonOf } from '../common/runtime/config-file.ts'
import { FileQueue, NoAnswer } from '../common/runtime/file-queue.ts'
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
 * Opens each file and judges what it holds. Never rejects. A shard table is judged by its pool; that
 * of a pool that is not there is only opened. After one that does not answer none is looked at.
 */
export async function inspectFiles(
  files: readonly NamedFile[],
  pools: Config['pools'],
  queue = new FileQueue(),
): Promise<readonly FileFinding[]> {
  const findings: FileFinding[] = []
  for (const named of files.filter(({ file }) => !isPerBox(file))) {
    try {
      findings.push(...(await inspectFile(named, pools, queue)))
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error
      const message = error.message.replace(/^t/, 'T')
      return [...findings, { named, kind: 'missing', message }]
    }
  }
  return findings
}

async function inspectFile(
  named: NamedFile,
  pools: Config['pools'],
  queue: FileQueue,
): Promise<readonly FileFinding[]> {
  const missing = await missingIn(named, queue)
  if (missing !== undefined) return [{ named, kind: 'missing', message: missing }]
  const faults = await contentFaults(named, pools, queue)
  const wrong = faults.map((fault): FileFinding => {
    return { named, kind: 'wrong', message: `The file ${shown(named.file)} is no use: ${fault}` }
  })
  return wrong.slice(0, 20)
}

async function missingIn({ file, use }: NamedFile, queue: FileQueue): Promise<string | undefined> {
  const unusable = (reason: string) => `The file ${shown(file)} cannot be used: ${reason}`
  try {
    const mode = use.type === 'program' ? constants.X_OK : constants.R_OK
    await queue.ask(file, (name) => access(name, mode))
    const stats = await queue.ask(file, (name) => stat(name))
    if (!stats.isFile()) return unusable('it is no regular file')
    if (use.type !== 'users' || findUser(use.user) !== undefined) return undefined
    return `There is no user ${quote(use.user)} in ${file} to run the script as`
  } catch (error) {
    if (error instanceof NoAnswer) throw error
    return unusable(reasonOf(error))
  }
}

async function contentFaults(
  { file, use }: NamedFile,
  pools: Config['pools'],
  queue: FileQueue,
): Promise<readonly string[]> {
  const text = async () => (await queue.read(file)).toString('utf8')
  try {
    switch (use.type) {
      case 'program':
      case 'users':
        return []
      case 'secret':
        return (await text()).trim() === '' ? ['it is empty'] : []
      case 'certificate':
        return await pairFaults(file, use.key, queue)
      case 'ticketKeys':
        return ticketKeyFaults(await text())
      case 'shards':
        return shardFaults(await text(), pools[use.pool])
    }
  } catch (error) {
    if (error instanceof NoAnswer) throw error
    return [reasonOf(error)]
  }
}

async function pairFaults(
  certificateFile: string,
  keyFile: string,
  queue: FileQueue,
): Promise<readonly string[]> {
  const pem = await queue.read(certificateFile)
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(pem)
  } catch {
    return ['it holds no certificate in PEM form']
  }
  const key = await queue.read(keyFile).catch((error: unknown) => {
    if (error instanceof NoAnswer) throw error
    return undefined
  })
  // A key that is missing is a finding of its own.
  if (key === undefined) return []
  try {
    if (certificate.checkPrivateKey(createPrivateKey(key))) return []
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
