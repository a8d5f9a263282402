/** How an answer's body ends. */
export type Framing = 'length' | 'chunked' | 'close'

/**
 * Reads answers to GET, one at a time, off a connection: plain, unhurried, and separate from what
 * the product uses, so that the product is not measured by itself.
 */
export class AnswerReader {
  status = 0
  framing: Framing = 'close'
  isKeepAlive = false
  /** The body so far, without its framing. */
  body: Buffer = Buffer.alloc(0)
  isComplete = false
  headers = new Map<string, string>()
  #pending: Buffer = Buffer.alloc(0)
  #chunks: Buffer[] = []
  #leftBytes = 0
  #state: 'head' | 'body' | 'size' | 'data' | 'data end' | 'trailer' = 'head'

  get hasFirstByte(): boolean {
    return this.#state !== 'head' || this.#pending.length > 0
  }

  /** Throws on what is no valid answer. */
  feed(bytes: Buffer): void {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes])
    while (!this.isComplete && this.#step());
    if (this.isComplete && this.#pending.length > 0) throw new Error('bytes after the answer')
  }

  /** The connection ended by FIN: an answer that is framed so is complete now. */
  end(): void {
    if (this.#state === 'body' && this.framing === 'close') this.#finish()
  }

  /** The body as far as it came. */
  partialBody(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  /** Whether it went on. */
  #step(): boolean {
    switch (this.#state) {
      case 'head':
        return this.#readHead()
      case 'body':
        return this.#readBody()
      case 'size': {
        const line = this.#line()
        if (line === undefined) return false
        if (!/^[0-9a-f]+$/i.test(line)) throw new Error(`chunk size ${line}`)
        this.#leftBytes = Number.parseInt(line, 16)
        this.#state = this.#leftBytes === 0 ? 'trailer' : 'data'
        return true
      }
      case 'data':
        if (this.#pending.length === 0) return false
        this.#take()
        if (this.#leftBytes === 0) this.#state = 'data end'
        return true
      case 'data end': {
        const line = this.#line()
        if (line === undefined) return false
        if (line !== '') throw new Error('no line end after a chunk')
        this.#state = 'size'
        return true
      }
      case 'trailer': {
        const line = this.#line()
        if (line === '') this.#finish()
        else if (line !== undefined) throw new Error(`trailer ${line}`)
        return false
      }
    }
  }

  #readHead(): boolean {
    const end = this.#pending.indexOf('\r\n\r\n')
    if (end === -1) return false
    const [statusLine = '', ...lines] = this.#pending.toString('latin1', 0, end).split('\r\n')
    const match = /^HTTP\/1\.1 ([1-5]\d\d) /.exec(statusLine)
    if (match === null) throw new Error(`status line ${statusLine}`)
    this.#pending = this.#pending.subarray(end + 4)
    if (match[1]?.startsWith('1') === true) return true
    this.status = Number(match[1])
    this.headers = new Map(
      lines.map((line) => {
        const [name = '', value = ''] = line.split(/: ?(.*)/)
        return [name.toLowerCase(), value]
      }),
    )
    const length = this.headers.get('content-length')
    this.framing =
      this.headers.get('transfer-encoding') === 'chunked'
        ? 'chunked'
        : length === undefined
          ? 'close'
          : 'length'
    this.isKeepAlive = this.framing !== 'close' && this.headers.get('connection') !== 'close'
    this.#leftBytes = this.framing === 'length' ? Number(length) : Infinity
    this.#state = this.framing === 'chunked' ? 'size' : 'body'
    if (this.#leftBytes === 0) this.#finish()
    return !this.isComplete
  }

  #readBody(): boolean {
    if (this.#pending.length === 0) return false
    this.#take()
    if (this.#leftBytes === 0) this.#finish()
    return !this.isComplete
  }

  #take(): void {
    const taken = this.#pending.subarray(0, this.#leftBytes)
    this.#chunks.push(taken)
    this.#pending = this.#pending.subarray(taken.length)
    this.#leftBytes -= taken.length
  }

  #finish(): void {
    this.isComplete = true
    this.body = Buffer.concat(this.#chunks)
  }

  #line(): string | undefined {
    const end = this.#pending.indexOf('\r\n')
    if (end === -1) return undefined
    const line = this.#pending.toString('latin1', 0, end)
    this.#pending = this.#pending.subarray(end + 2)
    return line
  }
}
