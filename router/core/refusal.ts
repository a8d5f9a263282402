/** Why a head is refused: the answer's status, a label to count by, and a sentence for the client. */
export interface Refusal {
  readonly status: number
  /** In a few fixed words with underscores: a metric's label. */
  readonly reason: string
  readonly message: string
}

const refusal = (status: number, reason: string, message: string): Refusal =>
  Object.freeze({ status, reason, message })

/** Every refusal of a head. Those of answers are never shown to a client, only counted. */
export const REFUSAL = {
  emptyLines: refusal(400, 'empty_lines', 'More than one empty line before the request'),
  bareLineFeed: refusal(400, 'bare_lf', 'A line ends with LF alone'),
  bareCarriageReturn: refusal(400, 'bare_cr', 'A CR is not followed by LF'),
  requestLine: refusal(400, 'request_line', 'The request line is not "method target HTTP/1.1"'),
  method: refusal(400, 'method', 'The method is not a token'),
  target: refusal(400, 'target', 'The request target holds a character that must be encoded'),
  targetForm: refusal(400, 'target_form', 'The request target is neither a path nor an http URL'),
  version: refusal(400, 'version', 'The HTTP version is not "HTTP/" digit "." digit'),
  statusLine: refusal(502, 'status_line', 'The status line is not "HTTP/1.1 status reason"'),
  obsoleteFold: refusal(400, 'obs_fold', 'A field line begins with white space'),
  spaceBeforeColon: refusal(400, 'space_before_colon', 'White space before a colon'),
  noColon: refusal(400, 'no_colon', 'A field line has no colon'),
  fieldName: refusal(400, 'field_name', 'A field name is empty or holds a character it must not'),
  fieldValue: refusal(400, 'field_value', 'A field value holds a control character'),
  noHost: refusal(400, 'no_host', 'An HTTP/1.1 request has no Host'),
  manyHosts: refusal(400, 'many_hosts', 'The request has more than one Host'),
  host: refusal(400, 'host', 'The Host is empty or not a host with an optional port'),
  authority: refusal(400, 'authority', 'The authority of the target differs from Host'),
  contentLength: refusal(400, 'content_length', 'Content-Length is not one decimal number'),
  manyLengths: refusal(400, 'many_lengths', 'The message has more than one Content-Length'),
  lengthAndCoding: refusal(
    400,
    'length_and_coding',
    'Content-Length and Transfer-Encoding in one message',
  ),
  transferCoding: refusal(400, 'transfer_coding', 'The last transfer coding is not one "chunked"'),
  chunk: refusal(400, 'chunk', 'The body is not in the chunked coding'),
  notUnderstood: refusal(400, 'not_understood', 'The request is not understood'),
  oldTransferCoding: refusal(400, 'old_transfer_coding', 'Transfer-Encoding in HTTP/1.0'),
  connectionNames: refusal(
    400,
    'connection_names',
    'Connection names a field that is not for one hop only',
  ),
  dotSegment: refusal(400, 'dot_segment', 'The path has a dot segment'),
  emptySegment: refusal(400, 'empty_segment', 'The path has an empty segment'),
  encodedSeparator: refusal(
    400,
    'encoded_separator',
    'The path holds an encoded slash, a backslash or NUL',
  ),
  percent: refusal(400, 'percent', 'A percent sign in the path is not followed by two digits'),
  targetTooLong: refusal(414, 'target_too_long', 'The request target is too long'),
  expectation: refusal(417, 'expectation', 'The only expectation known is 100-continue'),
  headTooLong: refusal(431, 'head_too_long', 'The head is too long'),
  tooManyFields: refusal(431, 'too_many_fields', 'The head has too many fields'),
  unknownMethod: refusal(501, 'unknown_method', 'The method is not known here'),
  connect: refusal(501, 'connect', 'CONNECT is not served here'),
  unknownCoding: refusal(501, 'unknown_coding', 'Only the transfer coding "chunked" is known here'),
  unsupportedVersion: refusal(505, 'unsupported_version', 'The version is not HTTP/1.1 or 1.0'),
  switching: refusal(502, 'switching', 'The answer switches protocols without having been asked'),
} as const satisfies Readonly<Record<string, Refusal>>
