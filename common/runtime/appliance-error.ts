/**
 * A fault that an operator can act on. Its message is one sentence that names what, where and the
 * value; `code` is in docs/errors.md.
 */
export class ApplianceError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ApplianceError'
    this.code = code
  }
}
